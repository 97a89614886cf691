"""What providers refuse and break off, as the SDKs of other languages tell it.

Every SDK has classes of its own for what went wrong. They go by the status,
so it must be the right one; the provider's own words must be in it.
"""

import itertools
import json

import anthropic
import httpx
import openai
import pytest

import clients
import told
from gateways import BELIEVED, LANGUAGES, PAIRS
from provider import Recording

WORDS = "These are the provider's own words."

# The same refusals as each provider words them, from its documentation; the status and the class it is for both SDKs.
REFUSALS = {
    "key": {
        "chat": (401, {"error": {"message": WORDS, "type": "invalid_request_error", "param": None, "code": "invalid_api_key"}}),
        "messages": (401, {"type": "error", "error": {"type": "authentication_error", "message": WORDS}}),
        "gemini": (400, {"error": {
            "code": 400, "message": f"API key not valid. Please pass a valid API key. {WORDS}", "status": "INVALID_ARGUMENT"}}),
        "raises": (401, "AuthenticationError"),
    },
    "pace": {
        "chat": (429, {"error": {"message": WORDS, "type": "tokens", "param": None, "code": "rate_limit_exceeded"}}),
        "messages": (429, {"type": "error", "error": {"type": "rate_limit_error", "message": WORDS}}),
        "gemini": (429, {"error": {"code": 429, "message": WORDS, "status": "RESOURCE_EXHAUSTED"}}),
        "raises": (429, "RateLimitError"),
    },
    "length": {
        "chat": (400, {"error": {
            "message": WORDS, "type": "invalid_request_error", "param": "messages", "code": "context_length_exceeded"}}),
        "messages": (400, {"type": "error", "error": {
            "type": "invalid_request_error", "message": f"prompt is too long: 250000 tokens > 200000 maximum. {WORDS}"}}),
        "gemini": (400, {"error": {"code": 400, "status": "INVALID_ARGUMENT", "message":
            f"The input token count (1200000) exceeds the maximum number of tokens allowed (1048576). {WORDS}"}}),
        "raises": (400, "BadRequestError"),
    },
    "busy": {
        "chat": (503, {"error": {"message": WORDS, "type": "server_error", "param": None, "code": None}}),
        "messages": (529, {"type": "error", "error": {"type": "overloaded_error", "message": WORDS}}),
        "gemini": (503, {"error": {"code": 503, "message": WORDS, "status": "UNAVAILABLE"}}),
        "raises": (None, "InternalServerError OverloadedError ServiceUnavailableError"),
    },
}
# OpenAI's two interfaces have one way to refuse.
for refusal in REFUSALS.values():
    refusal["responses"] = refusal["chat"]

SDKS = {"chat": openai, "responses": openai, "messages": anthropic}


NUMBERS = itertools.count()


def raised(here, url, streamed, there):
    """The error of a call to a model nobody has asked, so that no earlier refusal counts."""
    model = f"{LANGUAGES[there][0]}-{next(NUMBERS)}"
    with pytest.raises(SDKS[here].APIError) as caught:
        told.ask[here](url, streamed, model)
    return caught.value


@pytest.mark.parametrize(("here", "there"), PAIRS)
@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("what", REFUSALS)
def test_refusals(towards, provider, here, there, streamed, what):
    status, body = REFUSALS[what][there]
    waits = {"retry-after": "2"} if what == "pace" else {}
    provider.forget()
    provider.play(Recording.written(body, status, waits))
    error = raised(here, towards(there).url, streamed, there)
    expected, names = REFUSALS[what]["raises"]
    assert type(error).__name__ in names.split() and WORDS in str(error)
    assert error.status_code == expected or expected is None
    assert error.response.headers.get("retry-after") == waits.get("retry-after")
    if what == "length" and SDKS[here] is openai:
        assert error.code == "context_length_exceeded"
    assert len(provider.forget()) == 1


# How each provider says in the middle of a stream that it can't go on.
BREAKS = {
    "chat": "data: " + json.dumps(REFUSALS["busy"]["chat"][1]) + "\n\n",
    "responses": "event: error\ndata: " + json.dumps({
        "type": "error", "sequence_number": 9, "error": {"type": "server_error", "code": "server_error", "message": WORDS, "param": None},
    }) + "\n\n",
    "messages": "event: error\ndata: " + json.dumps(REFUSALS["busy"]["messages"][1]) + "\n\n",
    "gemini": "data: " + json.dumps(REFUSALS["busy"]["gemini"][1]) + "\n\n",
}


@pytest.fixture(scope="session")
def beginning(provider):
    """The first half of a provider's stream in each language, as the mock has it."""
    calls = {
        "chat": ("/v1/chat/completions", {"messages": [{"role": "user", "content": clients.SKY}], "stream": True}),
        "responses": ("/v1/responses", {"input": clients.SKY, "stream": True}),
        "messages": ("/v1/messages", {"messages": [{"role": "user", "content": clients.SKY}], "max_tokens": 99, "stream": True}),
        "gemini": ("/v1beta/models/m:streamGenerateContent?alt=sse", {"contents": [{"role": "user", "parts": [{"text": clients.SKY}]}]}),
    }

    def half(language):
        path, body = calls[language]
        named = {} if language == "gemini" else {"model": "m"}
        frames = httpx.post(f"{provider.url}{path}", json=body | named, timeout=30).text.replace("\r\n", "\n").split("\n\n")
        return "\n\n".join(frames[: len(frames) // 2]) + "\n\n"

    return {language: half(language) for language in calls}


@pytest.mark.parametrize("here", BELIEVED)
@pytest.mark.parametrize("there", LANGUAGES)
@pytest.mark.parametrize("said", [True, False], ids=["said", "cut"])
def test_a_stream_that_breaks_off_is_an_error_and_not_an_end(towards, provider, beginning, here, there, said):
    provider.forget()
    broken = beginning[there] + (BREAKS[there] if said else "")
    provider.play(Recording(200, "text/event-stream", broken.encode()))
    error = raised(here, towards(there).url, True, there)
    if said:
        assert WORDS in str(error)

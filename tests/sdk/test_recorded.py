"""Real calls and real answers, each in another language than it was recorded in.

An answer is read twice: by the SDK of its own language, from the provider
itself, and by way of nowait by the SDK of another. Both must say the same. A
call must reach the other provider in the shape that this one publishes.
"""

import functools

import anthropic
import google.genai.errors
import openai
import pytest

import told
from gateways import LANGUAGES, PAIRS
from provider import Recording, recordings
from test_counts import text_of

ENDPOINTS = {
    "chat.completions": "chat", "responses": "responses", "messages": "messages",
    "generateContent": "gemini", "streamGenerateContent": "gemini",
}
# Whose own SDK can't tell what they say.
ODD = {
    "chat-function-calling-thought-signatures-gemini-gemini-3-1-pro-preview-1": "its body is not JSON",
    "chat-with-extended-thinking-perplexity-sonar-reasoning-pro-preserves-t-1": "its body is not JSON",
    "mistral-mistral-v1-chat-completions-post-20aaaaf3": "a list is its content",
    "openai-phase-1": "its deltas were cut out, its items not",
    "programmatic-tool-calling-1": "two streams are in it",
    "tool-search-regex-1": "two streams are in it",
    "incomplete-partial-json": "the SDK closes arguments that broke off",
    "anthropic-sdk-python-fixtures-refusal": "it counts 1 token at the beginning and none at the end",
    "google-stream-tool-call-arguments": "the SDK leaves arguments in pieces",
    "test-token-counts-testtokencounts-test-groq": "its usage is in `x_groq`",
    "test-snowflake-thinking-streaming": "it names no reason for its end",
    "azure-grok-4-1-fast-non-reasoning-can-use-2": "it counts more cached than read",
}
PATHS = {"chat": "/v1/chat/completions", "responses": "/v1/responses", "messages": "/v1/messages"}


def chosen(language, **kept):
    """The names of the recordings of a language that have these columns."""
    for row in recordings():
        is_odd = any(part in row["path"] for part in ODD)
        if ENDPOINTS.get(row["endpoint"]) == language and kept.items() <= row.items() and not is_odd:
            yield row["path"]


def read(language, url, streamed):
    """What that language's SDK says, or that it has an error to raise."""
    try:
        return told.ask[language](url, streamed)
    except (openai.APIError, anthropic.APIError, google.genai.errors.APIError):
        return "an error"


@functools.cache
def meant(provider, name, there, streamed):
    provider.play(Recording.read(name))
    return read(there, provider.url, streamed)


@pytest.mark.parametrize(("here", "there"), PAIRS)
@pytest.mark.parametrize("streamed", [False, True])
def test_answers_say_the_same(towards, provider, here, there, streamed):
    provider.forget()
    wrong = {}
    names = list(chosen(there, status="200", streaming="sse" if streamed else "no"))
    for name in names:
        expected = meant(provider, name, there, streamed)
        provider.play(Recording.read(name))
        seen = read(here, towards(there).url, streamed)
        if seen != expected:
            wrong[name] = f"\n   {expected}\n   {seen}"
    assert (names or not recordings()) and not wrong, "".join(f"\n{name}: {it}" for name, it in wrong.items())


@pytest.mark.parametrize(("here", "there"), PAIRS)
def test_calls_are_what_the_provider_publishes(towards, provider, http, here, there):
    """Real calls, each either sent in the provider's own shape or refused by the name of a field."""
    provider.forget()
    wrong = {}
    names = [name for name in chosen(here, status="200") if Recording.asked(name)]
    for name in names:
        call = {**Recording.asked(name), "model": LANGUAGES[there][0], "stream": False}
        call.pop("stream_options", None)
        provider.play(Recording.written(text_of(there)))
        answer = http.post(f"{towards(there).url}{PATHS[here]}", json=call)
        if provider.forget() and answer.status_code != 200:
            wrong[name] = answer.text
        elif answer.status_code not in (200, 400):
            wrong[name] = f"{answer.status_code} {answer.text}"
    assert (names or not recordings()) and not wrong, "".join(f"\n{name}: {it[:300]}" for name, it in wrong.items())

"""Google's SDK through nowait: it speaks only Gemini, which is no form of a caller's, so it
stands on the provider's own path, `/gemini`, and everything passes as it is."""

import base64

import httpx
import pytest

import clients
from checks import identified
from provider import FORECAST, PERSON, PICTURE, SKY, Recording

# Nobody's serialiser writes like this.
ODD = b'{ "contents" : [{"parts":[{"text":"\\u0047o on"}],\n"role":"user"}],"generationConfig":{"topK" :4.0e1}}'
ODD_ANSWER = b'{ "candidates":[ {"content":{"parts":[{"text":"\\u004fn"}],"role":"model"},"finishReason":"STOP"}],"new":1.0}'


@pytest.fixture
def google(towards):
    return clients.GoogleGenAi(f"{towards('gemini').url}/gemini", "gemini-3-flash")


@pytest.fixture
def asked(provider):
    """What the provider was asked since, all of it with the gateway's key and in the SDK's own words."""
    provider.forget()

    def asked(count):
        calls = provider.forget()
        assert len(calls) == count, calls
        for call in calls:
            headers = {name.lower(): value for name, value in call.headers.items()}
            assert headers["x-goog-api-key"] == "test" and "the-callers" not in str(headers)
            assert headers["x-goog-api-client"].startswith("google-genai-sdk/")
            assert call.path.startswith("/v1/models/gemini-3-flash:")
        return [call.body for call in calls]

    return asked


def test_text(google, asked):
    assert google.text() == SKY
    (body,) = asked(1)
    assert body["systemInstruction"]["parts"] == [{"text": clients.SYSTEM}]


def test_stream(google, asked):
    pieces = [piece for piece in google.stream() if piece]
    assert "".join(pieces) == SKY and len(pieces) > 3
    asked(1)


@pytest.mark.parametrize("streamed", [False, True])
def test_tools(google, asked, streamed):
    assert google.tools(streamed) == FORECAST
    first, second = asked(2)
    assert [len(body["contents"]) for body in (first, second)] == [1, 3]
    told = [part["functionResponse"]["response"]["result"] for part in second["contents"][2]["parts"]]
    assert told == list(clients.REPORTS.values())


def test_structured(google, asked):
    assert google.structured().model_dump() == PERSON
    (body,) = asked(1)
    assert body["generationConfig"]["responseMimeType"] == "application/json"


def test_image(google, asked):
    assert google.image() == PICTURE
    (body,) = asked(1)
    data = body["contents"][0]["parts"][1]["inlineData"]["data"]
    assert base64.urlsafe_b64decode(data) == clients.PIXEL


def test_bytes_are_left_alone(towards, provider):
    provider.forget()
    provider.play(Recording(200, "application/json; charset=UTF-8", ODD_ANSWER))
    path = "/v1beta/models/gemini-3-flash:generateContent"
    answer = httpx.post(f"{towards('gemini').url}/gemini{path}", content=ODD, headers={"content-type": "application/json"})
    (call,) = provider.forget()
    assert (call.path, call.raw) == (path, ODD)
    assert (answer.status_code, answer.content) == (200, ODD_ANSWER)
    assert answer.headers["content-type"] == "application/json; charset=UTF-8"
    identified(answer.headers, "gemini")


def test_a_refusal_is_the_sdks_own(towards, google, provider):
    from google.genai import errors

    provider.forget()
    told = {"error": {"code": 429, "message": "Resource has been exhausted.", "status": "RESOURCE_EXHAUSTED"}}
    provider.play(Recording.written(told, 429))
    with pytest.raises(errors.ClientError) as caught:
        google.text()
    assert (caught.value.code, caught.value.status) == (429, "RESOURCE_EXHAUSTED")


def test_without_a_key_of_its_own_the_callers_is_passed_through(start, provider):
    provider.forget()
    gateway = start(config=f'[providers.gemini]\ndialect = "gemini"\nbase_url = "{provider.url}"\n')
    assert clients.GoogleGenAi(f"{gateway.url}/gemini", "gemini-3-flash").text() == SKY
    (call,) = provider.forget()
    assert {name.lower(): value for name, value in call.headers.items()}["x-goog-api-key"] == "the-callers"

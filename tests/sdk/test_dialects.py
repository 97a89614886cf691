"""Every SDK at every provider whose language it doesn't speak.

A client says one thing five times (`clients.py`), nowait translates it, the
provider validates what it is sent (`provider.py`). Rows are clients, columns
the provider's languages; each cell is a test.
"""

import functools
import json

import pytest

import clients
import frameworks
from gateways import BELIEVED, LANGUAGES, PAIRS
from provider import FORECAST, PERSON, PICTURE, SKY

CHAT = [clients.OpenAiChat, frameworks.LangChainOpenAi, frameworks.PydanticAiChat, frameworks.LiteLlmOpenAi]
MESSAGES = [clients.Anthropic, frameworks.LangChainAnthropic, frameworks.PydanticAiAnthropic, frameworks.LiteLlmAnthropic]
RESPONSES = [clients.OpenAiResponses, frameworks.LangChainResponses, frameworks.PydanticAiResponses]
NODE = {"chat": ["chat", "vercelChat"], "responses": ["responses", "vercelResponses"], "messages": ["messages", "vercelMessages"]}
KINDS = {"chat": CHAT, "responses": RESPONSES, "messages": MESSAGES}

ASKED = {
    "system": clients.SYSTEM, "sky": clients.SKY, "weather": clients.WEATHER, "programmer": clients.PROGRAMMER,
    "picture": clients.PICTURE, "reports": clients.REPORTS, "limit": clients.LIMIT, "pixel": clients.PIXEL_BASE64,
}


class Place:
    """A client at a gateway, and what the provider behind it was asked."""

    def __init__(self, client, language, provider):
        self.client, self.path, self.provider = client, LANGUAGES[language][1], provider
        provider.forget()

    def asked(self, count):
        """What arrived, as text, all of it in the provider's language."""
        asked = self.provider.forget()
        assert [it.path.split("?")[0].endswith(self.path) for it in asked] == [True] * count, asked
        return [f"{it.path} {json.dumps(it.body)}" for it in asked]


@pytest.fixture(
    params=[(kind, *pair) for pair in PAIRS for kind in KINDS[pair[0]]],
    ids=lambda cell: f"{cell[0].__name__}-{cell[2]}",
)
def place(request, towards, provider):
    kind, here, there = request.param
    return Place(made(kind, towards(there).url, BELIEVED[here]), there, provider)


@functools.cache
def made(kind, url, model):
    """One client for all that is tried with it: most of its time is spent on reading certificates."""
    return kind(url, model)


def test_text(place):
    assert place.client.text() == SKY
    (body,) = place.asked(1)
    assert body.count(clients.SYSTEM) == body.count(clients.SKY) == 1


def test_stream(place):
    pieces = [piece for piece in place.client.stream() if piece]
    assert "".join(pieces) == SKY and len(pieces) > 3
    (body,) = place.asked(1)
    assert '"stream": true' in body or ":streamGenerateContent" in body


@pytest.mark.parametrize("streamed", [False, True])
def test_tools(place, streamed):
    assert place.client.tools(streamed) == FORECAST
    first, second = place.asked(2)
    for said in ["weather", "The weather in a city.", '"city"']:
        assert said in first and said in second, (said, first, second)
    for report in clients.REPORTS.values():
        assert report not in first and second.count(report) == 1, second


def test_structured(place):
    assert place.client.structured().model_dump() == PERSON
    (body,) = place.asked(1)
    assert '"age"' in body and '"integer"' in body


def test_image(place):
    assert place.client.image() == PICTURE
    (body,) = place.asked(1)
    assert body.count(clients.PIXEL_BASE64) == 1 and body.count("image/png") == 1


@pytest.mark.parametrize(("here", "kind"), [(here, kind) for here in NODE for kind in NODE[here]])
def test_node(node, towards, provider, here, kind):
    provider.forget()
    others = [there for language, there in PAIRS if language == here]
    urls = [towards(there).url for there in others]
    seen = node("dialects.mjs", kind, json.dumps(urls), BELIEVED[here], json.dumps(ASKED))
    asked = provider.forget()
    for at, there in enumerate(others):
        pieces = seen[at].pop("stream")
        assert "".join(pieces) == SKY and len(pieces) > 3, there
        assert seen[at] == {"text": SKY, "tools": FORECAST, "structured": PERSON, "image": PICTURE}, there
        paths = [it.path.split("?")[0] for it in asked[6 * at : 6 * at + 6]]
        assert all(path.endswith(LANGUAGES[there][1]) for path in paths) and len(paths) == 6, (there, paths)
    assert len(asked) == 6 * len(others)

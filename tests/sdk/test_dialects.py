"""Every SDK at every provider whose language it doesn't speak.

A client says one thing five times (`clients.py`), nowait translates it, the
provider validates what it is sent (`provider.py`). Rows are clients, columns
the provider's languages; each cell is a test.
"""

import functools
import json

import anthropic
import openai
import pytest

import clients
from provider import FORECAST, PERSON, PICTURE, SCRIPT, SKY, Provider, Recording

# What a provider speaks: who serves it, and the end of the path it is called at.
LANGUAGES = {
    "chat": ("openai/gpt-4o", "/chat/completions"),
    "messages": ("anthropic/claude-sonnet-4-5", "/v1/messages"),
    "gemini": ("gemini/gemini-3-flash", "Content"),
}

# The models that clients of each language believe to call.
BELIEVED = {"chat": "gpt-4o", "responses": "gpt-4o", "messages": "claude-sonnet-4-5"}

CHAT = [clients.OpenAiChat, clients.LangChainOpenAi, clients.PydanticAiChat, clients.LiteLlmOpenAi]
MESSAGES = [clients.Anthropic, clients.LangChainAnthropic, clients.PydanticAiAnthropic, clients.LiteLlmAnthropic]
RESPONSES = [clients.OpenAiResponses, clients.LangChainResponses, clients.PydanticAiResponses]
NODE = {"chat": ["chat", "vercelChat"], "responses": ["responses", "vercelResponses"], "messages": ["messages", "vercelMessages"]}

# What is translated: a client's language, and a provider's.
PAIRS = [
    ("chat", "messages"), ("chat", "gemini"),
    ("responses", "messages"), ("responses", "gemini"),
    ("messages", "chat"), ("messages", "gemini"),
]
KINDS = {"chat": CHAT, "responses": RESPONSES, "messages": MESSAGES}

ASKED = {
    "system": clients.SYSTEM, "sky": clients.SKY, "weather": clients.WEATHER, "programmer": clients.PROGRAMMER,
    "picture": clients.PICTURE, "reports": clients.REPORTS, "limit": clients.LIMIT, "pixel": clients.PIXEL_BASE64,
}


@pytest.fixture(scope="session")
def provider(node_server):
    with Provider(node_server("provider.mjs", json.dumps(SCRIPT))) as provider:
        yield provider


@pytest.fixture(scope="session")
def towards(start, provider):
    """nowait with a provider of one language behind every model's name, by that language."""

    @functools.cache
    def begin(language):
        target, _ = LANGUAGES[language]
        models = "".join(f'[models."{name}"]\ntargets = ["{target}"]\n' for name in sorted({*BELIEVED.values()}))
        return start(config=f"""
[cache]
share = "off"

[providers.openai]
api_key = "test"
base_url = "{provider.url}/v1"

[providers.anthropic]
api_key = "test"
base_url = "{provider.url}"

[providers.gemini]
dialect = "gemini"
api_key = "test"
base_url = "{provider.url}"

{models}""")

    return begin


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
    return Place(kind(towards(there).url, BELIEVED[here]), there, provider)


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


@pytest.mark.parametrize(("here", "there", "kind"), [(*pair, kind) for pair in PAIRS for kind in NODE[pair[0]]])
def test_node(node, towards, provider, here, there, kind):
    provider.forget()
    seen = node("dialects.mjs", kind, towards(there).url, BELIEVED[here], json.dumps(ASKED))
    pieces = seen.pop("stream")
    assert "".join(pieces) == SKY and len(pieces) > 3
    assert seen == {"text": SKY, "tools": FORECAST, "structured": PERSON, "image": PICTURE}
    asked = provider.forget()
    assert len(asked) == 6 and all(it.path.split("?")[0].endswith(LANGUAGES[there][1]) for it in asked)


def answers(provider, body):
    """What the provider answers next."""
    provider.forget()
    provider.play(Recording(200, "application/json", json.dumps(body).encode(), {}))


# What the SDK asks for by itself, and what it leaves as it comes.
@pytest.mark.parametrize("form", [{}, {"encoding_format": "float"}])
def test_embeddings(towards, provider, form):
    vectors = [[0.5, -0.25], [1.0, 0.0]]
    answers(provider, {"embeddings": [{"values": values} for values in vectors], "usageMetadata": {"promptTokenCount": 7}})
    with openai.OpenAI(base_url=f"{towards('gemini').url}/v1", api_key="test") as sdk:
        told = sdk.embeddings.create(model="gemini/gemini-embedding-001", input=["tide", "moon"], dimensions=2, **form)
    assert [it.embedding for it in told.data] == vectors and [it.index for it in told.data] == [0, 1]
    assert (told.usage.prompt_tokens, told.usage.total_tokens) == (7, 7)
    (asked,) = provider.forget()
    assert asked.path == "/v1beta/models/gemini-embedding-001:batchEmbedContents"


def test_counted_tokens(towards, provider):
    answers(provider, {"totalTokens": 31})
    with anthropic.Anthropic(base_url=towards("gemini").url, api_key="test") as sdk:
        told = sdk.messages.count_tokens(
            model="gemini/gemini-3-flash",
            system=clients.SYSTEM,
            messages=[{"role": "user", "content": clients.SKY}],
            tools=[{"name": "weather", "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}}}],
        )
    assert told.input_tokens == 31
    (asked,) = provider.forget()
    assert asked.path == "/v1beta/models/gemini-3-flash:countTokens"

"""nowait in front of a provider of one language, whichever that is.

`towards("messages")` is a gateway whose every model is Anthropic's, and so on:
an SDK at a gateway towards another language than its own is translated.
"""

import functools
import json

import pytest

from provider import SCRIPT, Provider

# What a provider speaks: its model, the end of the path it is called at, and what has to be said of it.
LANGUAGES = {
    "chat": ("openai/gpt-4o", "/chat/completions", "[providers.openai.quirks]\nresponses = false"),
    "responses": ("openai/gpt-4o", "/responses", "[providers.openai.quirks]\nchat = false"),
    "messages": ("anthropic/claude-sonnet-4-5", "/v1/messages", ""),
    "gemini": ("gemini/gemini-3-flash", "Content", ""),
}

# The models that clients of each language believe to call.
BELIEVED = {"chat": "gpt-4o", "responses": "gpt-4o", "messages": "claude-sonnet-4-5"}

# What is translated: a client's language, and a provider's.
PAIRS = [(here, there) for here in BELIEVED for there in LANGUAGES if here != there]


@pytest.fixture(scope="session")
def provider(node_server):
    with Provider(node_server("provider.mjs", json.dumps(SCRIPT))) as provider:
        yield provider


@pytest.fixture(scope="session")
def towards(start, provider):
    """nowait with a provider of one language behind every model's name, by that language."""
    return functools.cache(lambda language: start(config=configuration(language, provider.url)))


def configuration(language, url):
    target, _, more = LANGUAGES[language]
    models = "".join(f'[models."{name}"]\ntargets = ["{target}"]\n' for name in sorted({*BELIEVED.values()}))
    return f"""
[cache]
share = "off"

[retry]
attempts = 1

[providers.openai]
api_key = "test"
base_url = "{url}/v1"

[providers.anthropic]
api_key = "test"
base_url = "{url}"

[providers.gemini]
dialect = "gemini"
api_key = "test"
base_url = "{url}"

{more}
{models}"""

"""What Gemini is asked beside conversations, by the SDKs of others: vectors and counts of tokens."""

import anthropic
import openai
import pytest

import clients
from provider import Recording


# What the SDK asks for by itself, and what it leaves as it comes.
@pytest.mark.parametrize("form", [{}, {"encoding_format": "float"}])
def test_embeddings(towards, provider, form):
    vectors = [[0.5, -0.25], [1.0, 0.0]]
    provider.forget()
    provider.play(Recording.written({"embeddings": [{"values": values} for values in vectors], "usageMetadata": {"promptTokenCount": 7}}))
    with openai.OpenAI(base_url=f"{towards('gemini').url}/v1", api_key="test") as sdk:
        told = sdk.embeddings.create(model="gemini/gemini-embedding-001", input=["tide", "moon"], dimensions=2, **form)
    assert [it.embedding for it in told.data] == vectors and [it.index for it in told.data] == [0, 1]
    assert (told.usage.prompt_tokens, told.usage.total_tokens) == (7, 7)
    (asked,) = provider.forget()
    assert asked.path == "/v1beta/models/gemini-embedding-001:batchEmbedContents"


def test_counted_tokens(towards, provider):
    provider.forget()
    provider.play(Recording.written({"totalTokens": 31}))
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

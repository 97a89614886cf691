"""What a call took in each SDK's own arithmetic, and answers that a provider can give only one of."""

import json

import openai
import pytest

import told
from gateways import BELIEVED, PAIRS
from provider import Recording

# 150 tokens read, 40 of them from the prompt cache; 30 written, 12 of them thoughts.
USAGE = {
    "chat": {
        "prompt_tokens": 150, "completion_tokens": 30, "total_tokens": 180,
        "prompt_tokens_details": {"cached_tokens": 40}, "completion_tokens_details": {"reasoning_tokens": 12},
    },
    "responses": {
        "input_tokens": 150, "output_tokens": 30, "total_tokens": 180,
        "input_tokens_details": {"cached_tokens": 40}, "output_tokens_details": {"reasoning_tokens": 12},
    },
    "messages": {
        "input_tokens": 100, "cache_read_input_tokens": 40, "cache_creation_input_tokens": 10, "output_tokens": 30,
        "output_tokens_details": {"thinking_tokens": 12},
    },
    "gemini": {
        "promptTokenCount": 150, "cachedContentTokenCount": 40, "candidatesTokenCount": 18, "thoughtsTokenCount": 12,
        "totalTokenCount": 180,
    },
}


def text_of(language):
    """An answer in one piece that took that much."""
    usage = USAGE[language]
    if language == "chat":
        choice = {"index": 0, "message": {"role": "assistant", "content": "On."}, "finish_reason": "stop"}
        return {"id": "c", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice], "usage": usage}
    if language == "responses":
        words = {"type": "output_text", "text": "On.", "annotations": []}
        said = {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed", "content": [words]}
        head = {"id": "resp_1", "object": "response", "created_at": 1, "model": "m", "status": "completed"}
        return head | {"output": [said], "usage": usage}
    if language == "messages":
        return {
            "id": "msg_1", "type": "message", "role": "assistant", "model": "m", "content": [{"type": "text", "text": "On."}],
            "stop_reason": "end_turn", "stop_sequence": None, "usage": usage,
        }
    return {"candidates": [gemini_candidate("On.", 0)], "usageMetadata": usage}


def gemini_candidate(text, index):
    return {"index": index, "content": {"role": "model", "parts": [{"text": text}]}, "finishReason": "STOP"}


@pytest.mark.parametrize(("here", "there"), PAIRS)
def test_usage(towards, provider, here, there):
    provider.forget()
    provider.play(Recording.written(text_of(there)))
    url, model = towards(there).url, BELIEVED[here]
    written = 10 if there == "messages" else 0
    if here == "chat":
        usage = told.openai_at(url).chat.completions.create(model=model, messages=told.SAID).usage
        assert (usage.prompt_tokens, usage.completion_tokens, usage.total_tokens) == (150, 30, 180)
        assert usage.prompt_tokens_details.cached_tokens == 40
        assert usage.completion_tokens_details.reasoning_tokens == 12
        assert (usage.prompt_tokens_details.cache_write_tokens or 0) == written
    elif here == "responses":
        usage = told.openai_at(url).responses.create(model=model, input="Go on.", store=False).usage
        assert (usage.input_tokens, usage.output_tokens, usage.total_tokens) == (150, 30, 180)
        assert usage.input_tokens_details.cached_tokens == 40
        assert usage.output_tokens_details.reasoning_tokens == 12
    else:
        usage = told.anthropic_at(url).messages.create(model=model, messages=told.SAID, max_tokens=99).usage
        assert (usage.input_tokens, usage.cache_read_input_tokens, usage.output_tokens) == (110, 40, 30)
        assert usage.cache_creation_input_tokens == 0
        assert usage.output_tokens_details.thinking_tokens == 12


@pytest.mark.parametrize("there", ["messages", "responses"])
def test_several_answers_of_one_who_gives_one_are_refused(towards, provider, there):
    provider.forget()
    with pytest.raises(openai.BadRequestError) as caught:
        told.openai_at(towards(there).url).chat.completions.create(model="gpt-4o", messages=told.SAID, n=2)
    assert (caught.value.param, caught.value.code) == ("n", "invalid_request")
    assert "n" in caught.value.message.replace("`", " ").split()
    assert provider.forget() == []


@pytest.mark.parametrize("streamed", [False, True])
def test_several_answers_of_one_who_gives_several(towards, provider, streamed):
    provider.forget()
    answer = {"candidates": [gemini_candidate("One.", 0), gemini_candidate("Two.", 1)], "usageMetadata": USAGE["gemini"]}
    event = Recording(200, "text/event-stream", b"data: %s\n\n" % json.dumps(answer).encode())
    provider.play(event if streamed else Recording.written(answer))
    create = told.openai_at(towards("gemini").url).chat.completions.create
    said = {0: "", 1: ""}
    if streamed:
        for chunk in create(model="gpt-4o", messages=told.SAID, n=2, stream=True):
            for choice in chunk.choices:
                said[choice.index] += choice.delta.content or ""
    else:
        for choice in create(model="gpt-4o", messages=told.SAID, n=2).choices:
            said[choice.index] += choice.message.content
    assert said == {0: "One.", 1: "Two."}
    (asked,) = provider.forget()
    assert asked.body["generationConfig"]["candidateCount"] == 2

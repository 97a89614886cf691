"""Thoughts with their makers' signatures, kept by SDKs of other languages and given back.

A provider wants the signature of what it thought in the turns that follow, or
it refuses them or thinks anew. A conversation of three turns goes through the
SDK's own types: thoughts and a call, thoughts and words, words.
"""

import json

import pytest

import clients
import told
from gateways import BELIEVED
from provider import Recording

FIRST, SECOND = "Zmlyc3Q=", "c2Vjb25k"
THOUGHT = "Let me see."


def messages(signature, call):
    said = {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {"city": "Paris"}}
    content = [said if call else {"type": "text", "text": "Warm."}]
    if signature:
        content.insert(0, {"type": "thinking", "thinking": THOUGHT, "signature": signature})
    return {
        "id": "msg_1", "type": "message", "role": "assistant", "model": "m", "content": content, "stop_sequence": None,
        "stop_reason": "tool_use" if call else "end_turn", "usage": {"input_tokens": 1, "output_tokens": 1},
    }


def gemini(signature, call):
    said = {"functionCall": {"name": "weather", "args": {"city": "Paris"}}} if call else {"text": "Warm."}
    thought = [{"text": THOUGHT, "thought": True}] if signature else []
    parts = [*thought, said | ({"thoughtSignature": signature} if signature else {})]
    return {"candidates": [{"content": {"role": "model", "parts": parts}, "finishReason": "STOP"}], "usageMetadata": {}}


def responses(signature, call):
    words = {"type": "output_text", "text": "Warm.", "annotations": []}
    said = {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed", "content": [words]}
    if call:
        said = {
            "type": "function_call", "id": "fc_1", "call_id": "call_1", "name": "weather", "arguments": '{"city":"Paris"}',
            "status": "completed",
        }
    summary = [{"type": "summary_text", "text": THOUGHT}]
    thought = {"type": "reasoning", "id": f"rs_{len(signature)}", "summary": summary, "encrypted_content": signature}
    return {
        "id": "resp_1", "object": "response", "created_at": 1, "model": "m", "status": "completed",
        "output": [thought, said] if signature else [said], "usage": {"input_tokens": 1, "output_tokens": 1, "total_tokens": 2},
    }


ANSWERS = {"messages": messages, "gemini": gemini, "responses": responses}


def chat_turn(url, said, streamed):
    answer = told.openai_at(url).chat.completions.create(
        model=BELIEVED["chat"], messages=said, tools=clients.OpenAiChat.offered, reasoning_effort="low", max_completion_tokens=2048,
    ).choices[0].message
    said.append(answer.model_dump(exclude_none=True))
    said += [{"role": "tool", "tool_call_id": it.id, "content": "24 degrees"} for it in answer.tool_calls or []]
    return answer.reasoning_content if hasattr(answer, "reasoning_content") else None


def messages_turn(url, said, streamed):
    sdk = told.anthropic_at(url).messages
    call = {
        "model": BELIEVED["messages"], "messages": said, "max_tokens": 2048, "tools": clients.Anthropic.offered,
        "thinking": {"type": "enabled", "budget_tokens": 1024},
    }
    if streamed:
        with sdk.stream(**call) as stream:
            content = stream.get_final_message().content
    else:
        content = sdk.create(**call).content
    said.append({"role": "assistant", "content": content})
    results = [{"type": "tool_result", "tool_use_id": it.id, "content": "24 degrees"} for it in content if it.type == "tool_use"]
    if results:
        said.append({"role": "user", "content": results})
    return "".join(it.thinking for it in content if it.type == "thinking") or None


def responses_turn(url, said, streamed):
    call = {
        "model": BELIEVED["responses"], "input": said, "store": False, "tools": clients.OpenAiResponses.offered,
        "include": ["reasoning.encrypted_content"], "reasoning": {"effort": "low", "summary": "auto"},
    }
    create = told.openai_at(url).responses.create
    answer = list(create(**call, stream=True))[-1].response if streamed else create(**call)
    said += [item.model_dump(exclude_none=True) for item in answer.output]
    said += [
        {"type": "function_call_output", "call_id": it.call_id, "output": "24 degrees"}
        for it in answer.output if it.type == "function_call"
    ]
    return "".join(part.text for it in answer.output if it.type == "reasoning" for part in it.summary) or None


TURNS = {"chat": chat_turn, "messages": messages_turn, "responses": responses_turn}
PAIRS = [(here, there) for here in TURNS for there in ANSWERS if here != there]
# OpenAI's SDK has no type for thoughts in pieces of a chat stream; who reads them puts them together as they like.
STREAMS = [(here, there, True) for here, there in PAIRS if here != "chat"]


def streamed_events(language, answer):
    """The stream that adds up to an answer: one event for Gemini, as few as will do for the others."""
    if language == "gemini":
        events = [answer]
    elif language == "responses":
        items = enumerate(answer["output"])
        events = [{"type": "response.created", "response": answer | {"output": [], "status": "in_progress"}}]
        for at, item in items:
            events.append({"type": "response.output_item.added", "output_index": at, "item": item | {"summary": [], "content": []}})
            if item["type"] == "reasoning":
                events.append({"type": "response.reasoning_summary_text.delta", "output_index": at, "summary_index": 0, "delta": THOUGHT})
            events.append({"type": "response.output_item.done", "output_index": at, "item": item})
        events.append({"type": "response.completed", "response": answer})
    else:
        events = [{"type": "message_start", "message": answer | {"content": []}}]
        for at, block in enumerate(answer["content"]):
            events += [{"index": at} | it for it in block_events(block)]
        events.append({"type": "message_delta", "delta": {"stop_reason": answer["stop_reason"]}, "usage": {"output_tokens": 1}})
        events.append({"type": "message_stop"})
    names = [f"event: {it['type']}\n" if "type" in it else "" for it in events]
    frames = [f"{name}data: {json.dumps(it)}\n\n" for name, it in zip(names, events)]
    return Recording(200, "text/event-stream", "".join(frames).encode())


def block_events(block):
    """A Messages block in its pieces."""
    empty = {
        "thinking": {"type": "thinking", "thinking": "", "signature": ""}, "text": {"type": "text", "text": ""},
        "tool_use": block | {"input": {}},
    }[block["type"]]
    deltas = {
        "thinking": lambda: [
            {"type": "thinking_delta", "thinking": block["thinking"]}, {"type": "signature_delta", "signature": block["signature"]},
        ],
        "text": lambda: [{"type": "text_delta", "text": block["text"]}],
        "tool_use": lambda: [{"type": "input_json_delta", "partial_json": json.dumps(block["input"])}],
    }[block["type"]]()
    start = {"type": "content_block_start", "content_block": empty}
    return [start, *({"type": "content_block_delta", "delta": it} for it in deltas), {"type": "content_block_stop"}]


@pytest.mark.parametrize(("here", "there", "streamed"), [*((*pair, False) for pair in PAIRS), *STREAMS])
def test_signatures_come_back_in_their_turns(towards, provider, here, there, streamed):
    provider.forget()
    turn, url = TURNS[here], towards(there).url
    answers = [ANSWERS[there](FIRST, True), ANSWERS[there](SECOND, False), ANSWERS[there]("", False)]
    provider.play(*(streamed_events(there, it) if streamed else Recording.written(it) for it in answers))
    said = [{"role": "user", "content": clients.WEATHER}]
    thoughts = [turn(url, said, streamed), turn(url, said, streamed)]
    said.append({"role": "user", "content": "And tomorrow?"})
    thoughts.append(turn(url, said, streamed))
    assert thoughts == [THOUGHT, THOUGHT, None]
    first, second, third = [json.dumps(it.body) for it in provider.forget()]
    assert FIRST not in first
    assert second.count(FIRST) == 1 and SECOND not in second
    assert third.count(FIRST) == third.count(SECOND) == 1 and third.index(FIRST) < third.index(SECOND)
    # Nobody else's envelope is around them.
    assert "nowait:" not in third

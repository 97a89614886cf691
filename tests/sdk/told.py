"""What an answer says, whichever SDK it was read with.

`ask[language](url, streamed)` calls with that language's official SDK, whole
or streamed, and gives a `Told`. A provider's answer must say the same to its
own SDK and, by way of nowait, to the SDKs of other languages. Counts are in
one arithmetic: what was read with what came from the prompt cache and went
there, what was written with the reasoning.
"""

import dataclasses
import functools
import json

import anthropic
import google.genai
import openai
from google.genai import types

SAID = [{"role": "user", "content": "Go on."}]
FINISHES = {
    "stop": "stop", "eos": "stop", "end_turn": "stop", "stop_sequence": "stop", "pause_turn": "stop", "completed": "stop",
    "STOP": "stop",
    "tool_calls": "tools", "function_call": "tools", "tool_use": "tools",
    "length": "length", "max_tokens": "length", "max_output_tokens": "length", "MAX_TOKENS": "length",
    "content_filter": "filter", "refusal": "filter", "SAFETY": "filter", None: None,
}


@dataclasses.dataclass
class Told:
    """The words without thoughts, the calls as (name, arguments), why it ended, and the counts."""

    text: str
    calls: list
    finish: str | None
    read: int
    cached: int
    written: int


def arguments(text):
    """Those of a call, an empty object where a provider wrote nothing."""
    try:
        return json.loads(text or "{}")
    except ValueError:
        return text


@functools.cache
def openai_at(url):
    return openai.OpenAI(api_key="unused", base_url=f"{url}/v1", max_retries=0, timeout=30)


@functools.cache
def anthropic_at(url):
    return anthropic.Anthropic(api_key="unused", base_url=url, max_retries=0, timeout=30)


@functools.cache
def google_at(url):
    return google.genai.Client(api_key="unused", http_options=types.HttpOptions(base_url=url, timeout=30_000))


def chat(url, streamed, model="gpt-4o"):
    call = {"model": model, "messages": SAID, "max_completion_tokens": 99}
    create = openai_at(url).chat.completions.create
    if streamed:
        text, calls, finish, usage = chat_pieces(create(**call, stream=True, stream_options={"include_usage": True}))
    else:
        answer = create(**call)
        said, finish, usage = answer.choices[0].message, answer.choices[0].finish_reason, answer.usage
        text = (said.content or "") + (said.refusal or "")
        made = [it.function if it.type == "function" else it.custom for it in said.tool_calls or []]
        made += [said.function_call] if said.function_call else []
        calls = [(it.name, it.arguments if hasattr(it, "arguments") else json.dumps({"input": it.input})) for it in made]
        finish = "refusal" if said.refusal else finish
    details = usage and usage.prompt_tokens_details
    return Told(
        text, [(name, arguments(given)) for name, given in calls], FINISHES[finish], usage.prompt_tokens if usage else 0,
        (details and details.cached_tokens) or 0, usage.completion_tokens if usage else 0,
    )


def chat_pieces(chunks):
    """The text, calls, finish and usage of a stream's first choice."""
    text, calls, custom, finish, refused, usage = "", {}, set(), None, False, None
    for chunk in chunks:
        usage = chunk.usage or usage
        for choice in (it for it in chunk.choices if it.index == 0):
            text += (choice.delta.content or "") + (choice.delta.refusal or "")
            refused = refused or bool(choice.delta.refusal)
            finish = choice.finish_reason or finish
            for piece in choice.delta.tool_calls or []:
                name, given = calls.get(piece.index, ("", ""))
                if piece.function:
                    calls[piece.index] = (piece.function.name or name, given + (piece.function.arguments or ""))
                else:
                    custom.add(piece.index)
                    calls[piece.index] = (piece.custom.get("name", name), given + piece.custom.get("input", ""))
    calls = {at: (name, json.dumps({"input": given}) if at in custom else given) for at, (name, given) in calls.items()}
    return text, list(calls.values()), "refusal" if refused else finish, usage


def responses(url, streamed, model="gpt-4o"):
    call = {"model": model, "input": "Go on.", "max_output_tokens": 99, "store": False}
    create = openai_at(url).responses.create
    if streamed:
        answer = list(create(**call, stream=True))[-1].response
    else:
        answer = create(**call)
    if answer.error:
        raise openai.APIError(answer.error.message, request=None, body=None)
    parts = [part for item in answer.output if item.type == "message" for part in item.content]
    text = "".join(part.text if part.type == "output_text" else part.refusal for part in parts)
    made = [it for it in answer.output if it.type in ("function_call", "custom_tool_call")]
    calls = [(it.name, arguments(it.arguments) if it.type == "function_call" else {"input": it.input}) for it in made]
    finish = FINISHES[answer.incomplete_details.reason if answer.incomplete_details else answer.status]
    if finish == "stop" and calls:
        finish = "tools"
    elif finish == "stop" and any(part.type == "refusal" for part in parts):
        finish = "filter"
    usage = answer.usage
    return Told(
        text, calls, finish, usage.input_tokens if usage else 0,
        usage.input_tokens_details.cached_tokens if usage and usage.input_tokens_details else 0,
        usage.output_tokens if usage else 0,
    )


def messages(url, streamed, model="claude-sonnet-4-5"):
    sdk = anthropic_at(url).messages
    call = {"model": model, "messages": SAID, "max_tokens": 99}
    if streamed:
        with sdk.stream(**call) as stream:
            answer = stream.get_final_message()
    else:
        answer = sdk.create(**call)
    usage = answer.usage
    cached = usage.cache_read_input_tokens or 0
    return Told(
        "".join(block.text for block in answer.content if block.type == "text"),
        [(block.name, block.input) for block in answer.content if block.type == "tool_use"],
        FINISHES[answer.stop_reason],
        usage.input_tokens + cached + (usage.cache_creation_input_tokens or 0), cached, usage.output_tokens,
    )


def gemini(url, streamed, model="gemini-3-flash"):
    sdk = google_at(url).models
    if streamed:
        answers = list(sdk.generate_content_stream(model=model, contents="Go on."))
    else:
        answers = [sdk.generate_content(model=model, contents="Go on.")]
    candidates = [it.candidates[0] for it in answers if it.candidates]
    parts = [part for it in candidates if it.content for part in it.content.parts or []]
    calls = [(part.function_call.name, part.function_call.args or {}) for part in parts if part.function_call]
    usage = [it.usage_metadata for it in answers if it.usage_metadata][-1]
    finish = FINISHES[[it.finish_reason for it in candidates if it.finish_reason][-1].value]
    return Told(
        "".join(part.text for part in parts if part.text and not part.thought),
        calls, "tools" if calls and finish == "stop" else finish,
        (usage.prompt_token_count or 0) + (usage.tool_use_prompt_token_count or 0), usage.cached_content_token_count or 0,
        (usage.candidates_token_count or 0) + (usage.thoughts_token_count or 0),
    )


ask = {"chat": chat, "responses": responses, "messages": messages, "gemini": gemini}

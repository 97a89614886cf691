"""The official SDKs that people call models with, each doing the same five things.

A client is made for a gateway's address and a model. Its methods return what
its user would look at, in plain values: `text` and `image` the answer,
`stream` the pieces of one, `structured` the object, `tools` the answer after
both results of a parallel call were given back.
"""

import base64
import functools
import json
import struct
import zlib

import anthropic
import openai
import pydantic

SYSTEM = "You are terse."
SKY = "Why is the sky blue?"
WEATHER = "Compare the weather in Paris and Rome."
PROGRAMMER = "Who was the first programmer, and how old did she get?"
PICTURE = "What is in this picture?"
REPORTS = {"Paris": "24 degrees, sun", "Rome": "9 degrees, rain"}
LIMIT = 512


def png(red, green, blue):
    """A picture of one pixel."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 2, 0, 0, 0))
    pixel = chunk(b"IDAT", zlib.compress(bytes([0, red, green, blue])))
    return b"\x89PNG\r\n\x1a\n" + head + pixel + chunk(b"IEND", b"")


PIXEL = png(255, 0, 0)
PIXEL_BASE64 = base64.b64encode(PIXEL).decode()
PIXEL_URL = f"data:image/png;base64,{PIXEL_BASE64}"


class Person(pydantic.BaseModel):
    name: str
    age: int


PARAMETERS = {
    "type": "object",
    "properties": {"city": {"type": "string", "description": "A city's name"}},
    "required": ["city"],
    "additionalProperties": False,
}


def weather(city: str) -> str:
    """The weather in a city."""
    return REPORTS[city]


class Client:
    def __init__(self, url, model):
        self.url, self.model = url, model


class OpenAiChat(Client):
    """openai, chat completions."""

    offered = [{"type": "function", "function": {
        "name": "weather", "description": weather.__doc__, "parameters": PARAMETERS, "strict": True,
    }}]

    @functools.cached_property
    def chat(self):
        sdk = openai.OpenAI(api_key="unused", base_url=f"{self.url}/v1", max_retries=0, timeout=30)
        return sdk.chat.completions

    def ask(self, create, content, **more):
        messages = [{"role": "system", "content": SYSTEM}, {"role": "user", "content": content}]
        return create(model=self.model, messages=messages, max_completion_tokens=LIMIT, **more)

    def text(self):
        answer = self.ask(self.chat.create, SKY, temperature=0.5)
        assert answer.choices[0].finish_reason == "stop"
        assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (21, 13)
        return answer.choices[0].message.content

    def stream(self):
        chunks = list(self.ask(self.chat.create, SKY, stream=True, stream_options={"include_usage": True}))
        assert [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices][-1] == "stop"
        assert chunks[-1].usage.completion_tokens == 13
        return [chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices]

    def tools(self, streamed=False):
        call = {"model": self.model, "max_completion_tokens": LIMIT, "tools": self.offered}
        messages = [{"role": "system", "content": SYSTEM}, {"role": "user", "content": WEATHER}]
        if streamed:
            with self.chat.stream(**call, messages=messages) as stream:
                answer = stream.get_final_completion()
        else:
            answer = self.chat.create(**call, messages=messages)
        assert answer.choices[0].finish_reason == "tool_calls"
        said = answer.choices[0].message
        messages.append(said.model_dump(exclude_none=True, exclude={"parsed": True, "tool_calls": {"__all__": {"function": {"parsed_arguments"}}}}))
        for made in said.tool_calls:
            report = weather(**json.loads(made.function.arguments))
            messages.append({"role": "tool", "tool_call_id": made.id, "content": report})
        return self.chat.create(**call, messages=messages).choices[0].message.content

    def structured(self):
        return self.ask(self.chat.parse, PROGRAMMER, response_format=Person).choices[0].message.parsed

    def image(self):
        picture = {"type": "image_url", "image_url": {"url": PIXEL_URL}}
        return self.ask(self.chat.create, [{"type": "text", "text": PICTURE}, picture]).choices[0].message.content


class OpenAiResponses(Client):
    """openai, Responses."""

    offered = [{"type": "function", "name": "weather", "description": weather.__doc__, "parameters": PARAMETERS, "strict": True}]

    @functools.cached_property
    def responses(self):
        return openai.OpenAI(api_key="unused", base_url=f"{self.url}/v1", max_retries=0, timeout=30).responses

    def call(self, **more):
        return {"model": self.model, "instructions": SYSTEM, "max_output_tokens": LIMIT, "store": False, **more}

    def text(self):
        answer = self.responses.create(**self.call(input=SKY, temperature=0.5))
        assert answer.status == "completed"
        assert (answer.usage.input_tokens, answer.usage.output_tokens) == (21, 13)
        return answer.output_text

    def stream(self):
        events = list(self.responses.create(**self.call(input=SKY, stream=True)))
        assert (events[0].type, events[-1].type) == ("response.created", "response.completed")
        assert [event.sequence_number for event in events] == list(range(len(events)))
        assert events[-1].response.usage.output_tokens == 13
        return [event.delta for event in events if event.type == "response.output_text.delta"]

    def tools(self, streamed=False):
        said = [{"role": "user", "content": WEATHER}]
        if streamed:
            with self.responses.stream(**self.call(input=said, tools=self.offered)) as stream:
                answer = stream.get_final_response()
        else:
            answer = self.responses.create(**self.call(input=said, tools=self.offered))
        made = [item for item in answer.output if item.type == "function_call"]
        said += [item.model_dump(exclude_none=True, exclude={"parsed_arguments"}) for item in answer.output]
        for item in made:
            report = weather(**json.loads(item.arguments))
            said.append({"type": "function_call_output", "call_id": item.call_id, "output": report})
        return self.responses.create(**self.call(input=said, tools=self.offered)).output_text

    def structured(self):
        return self.responses.parse(**self.call(input=PROGRAMMER, text_format=Person)).output_parsed

    def image(self):
        parts = [{"type": "input_text", "text": PICTURE}, {"type": "input_image", "image_url": PIXEL_URL, "detail": "auto"}]
        return self.responses.create(**self.call(input=[{"role": "user", "content": parts}])).output_text


class Anthropic(Client):
    """anthropic."""

    offered = [{"name": "weather", "description": weather.__doc__, "input_schema": PARAMETERS}]

    @functools.cached_property
    def messages(self):
        return anthropic.Anthropic(api_key="unused", base_url=self.url, max_retries=0, timeout=30).messages

    def call(self, content, **more):
        messages = content if isinstance(content, list) else [{"role": "user", "content": content}]
        return {"model": self.model, "system": SYSTEM, "max_tokens": LIMIT, "messages": messages, **more}

    def text(self):
        answer = self.messages.create(**self.call(SKY, extra_body={"temperature": 0.5}))
        assert answer.stop_reason == "end_turn"
        assert (answer.usage.input_tokens, answer.usage.output_tokens) == (21, 13)
        return answer.content[0].text

    def stream(self):
        events = list(self.messages.create(**self.call(SKY, stream=True)))
        assert (events[0].type, events[-1].type) == ("message_start", "message_stop")
        assert events[-2].usage.output_tokens == 13
        return [event.delta.text for event in events if event.type == "content_block_delta"]

    def tools(self, streamed=False):
        said = [{"role": "user", "content": WEATHER}]
        if streamed:
            with self.messages.stream(**self.call(said, tools=self.offered)) as stream:
                answer = stream.get_final_message()
        else:
            answer = self.messages.create(**self.call(said, tools=self.offered))
        assert answer.stop_reason == "tool_use"
        said.append({"role": "assistant", "content": answer.content})
        said.append({"role": "user", "content": [
            {"type": "tool_result", "tool_use_id": block.id, "content": weather(**block.input)}
            for block in answer.content if block.type == "tool_use"
        ]})
        return self.messages.create(**self.call(said, tools=self.offered)).content[0].text

    def structured(self):
        return self.messages.parse(**self.call(PROGRAMMER, output_format=Person)).parsed_output

    def image(self):
        source = {"type": "base64", "media_type": "image/png", "data": PIXEL_BASE64}
        parts = [{"type": "image", "source": source}, {"type": "text", "text": PICTURE}]
        return self.messages.create(**self.call([{"role": "user", "content": parts}])).content[0].text


class GoogleGenAi(Client):
    """google-genai."""

    @functools.cached_property
    def sdk(self):
        from google import genai

        options = genai.types.HttpOptions(base_url=self.url, timeout=30_000)
        return genai.Client(api_key="the-callers", http_options=options)

    def call(self, contents, **more):
        config = {"system_instruction": SYSTEM, "max_output_tokens": LIMIT, **more}
        return {"model": self.model, "contents": contents, "config": config}

    def text(self):
        answer = self.sdk.models.generate_content(**self.call(SKY, temperature=0.5))
        assert answer.candidates[0].finish_reason == "STOP"
        usage = answer.usage_metadata
        assert (usage.prompt_token_count, usage.candidates_token_count) == (21, 13)
        return answer.text

    def stream(self):
        chunks = list(self.sdk.models.generate_content_stream(**self.call(SKY)))
        assert chunks[-1].usage_metadata.candidates_token_count == 13
        return [chunk.text or "" for chunk in chunks]

    def tools(self, streamed=False):
        from google.genai.types import Content, Part

        offered = {"function_declarations": [
            {"name": "weather", "description": weather.__doc__, "parameters_json_schema": PARAMETERS},
        ]}
        said = [Content(role="user", parts=[Part.from_text(text=WEATHER)])]
        if streamed:
            chunks = self.sdk.models.generate_content_stream(**self.call(said, tools=[offered]))
            parts = [part for chunk in chunks for part in chunk.candidates[0].content.parts]
        else:
            parts = self.sdk.models.generate_content(**self.call(said, tools=[offered])).candidates[0].content.parts
        made = [part.function_call for part in parts if part.function_call]
        said.append(Content(role="model", parts=parts))
        said.append(Content(role="user", parts=[
            Part.from_function_response(name=it.name, response={"result": weather(**it.args)}) for it in made
        ]))
        return self.sdk.models.generate_content(**self.call(said, tools=[offered])).text

    def structured(self):
        form = {"response_mime_type": "application/json", "response_schema": Person}
        return self.sdk.models.generate_content(**self.call(PROGRAMMER, **form)).parsed

    def image(self):
        from google.genai.types import Part

        picture = Part.from_bytes(data=PIXEL, mime_type="image/png")
        return self.sdk.models.generate_content(**self.call([PICTURE, picture])).text

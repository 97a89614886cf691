"""The SDKs and frameworks that people call models with, each doing the same five things.

A client is made for a gateway's address and a model. Its methods return what
its user would look at, in plain values: `text` and `image` the answer,
`stream` the pieces of one, `structured` the object, `tools` the answer after
both results of a parallel call were given back.
"""

import asyncio
import base64
import functools
import json
import os
import struct
import zlib

import anthropic
import openai
import pydantic

# LiteLLM fetches both from the network otherwise.
os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")
os.environ.setdefault("LITELLM_LOCAL_ANTHROPIC_BETA_HEADERS", "True")

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


class LangChain(Client):
    """LangChain, whichever chat model `made` is."""

    def text(self):
        answer = self.made.invoke([("system", SYSTEM), ("human", SKY)])
        assert (answer.usage_metadata["input_tokens"], answer.usage_metadata["output_tokens"]) == (21, 13)
        return answer.text

    def stream(self):
        return [chunk.text for chunk in self.made.stream([("system", SYSTEM), ("human", SKY)])]

    def tools(self, streamed=False):
        from langchain_core.messages import HumanMessage
        from langchain_core.tools import tool

        offered = tool(weather)
        able = self.made.bind_tools([offered])
        said = [HumanMessage(WEATHER)]
        if streamed:
            chunks = list(able.stream(said))
            answer = functools.reduce(lambda whole, chunk: whole + chunk, chunks)
        else:
            answer = able.invoke(said)
        said += [answer, *(offered.invoke(made) for made in answer.tool_calls)]
        return able.invoke(said).text

    def structured(self):
        return self.made.with_structured_output(Person, method="json_schema").invoke(PROGRAMMER)

    def image(self):
        from langchain_core.messages import HumanMessage

        picture = {"type": "image", "base64": PIXEL_BASE64, "mime_type": "image/png"}
        return self.made.invoke([HumanMessage([{"type": "text", "text": PICTURE}, picture])]).text


class LangChainOpenAi(LangChain):
    """langchain-openai, chat completions."""

    responses = False

    @functools.cached_property
    def made(self):
        from langchain_openai import ChatOpenAI

        return ChatOpenAI(
            model=self.model, base_url=f"{self.url}/v1", api_key="unused", max_retries=0, timeout=30,
            max_tokens=LIMIT, use_responses_api=self.responses, stream_usage=True,
        )


class LangChainResponses(LangChainOpenAi):
    """langchain-openai, Responses."""

    responses = True


class LangChainAnthropic(LangChain):
    """langchain-anthropic."""

    @functools.cached_property
    def made(self):
        from langchain_anthropic import ChatAnthropic

        return ChatAnthropic(
            model=self.model, base_url=self.url, api_key="unused", max_retries=0, timeout=30, max_tokens=LIMIT
        )


class PydanticAi(Client):
    """pydantic-ai, whichever model `made` makes."""

    def run(self, said, streamed=False, **more):
        from pydantic_ai import Agent

        async def answer():
            agent = Agent(self.made(), instructions=SYSTEM, retries=0, **more)
            if not streamed:
                return (await agent.run(said)).output
            async with agent.run_stream(said) as result:
                return await result.get_output()

        return asyncio.run(answer())

    def text(self):
        return self.run(SKY)

    def stream(self):
        from pydantic_ai import Agent

        async def pieces():
            agent = Agent(self.made(), instructions=SYSTEM, retries=0)
            async with agent.run_stream(SKY) as result:
                found = [piece async for piece in result.stream_text(delta=True, debounce_by=None)]
                assert (result.usage.input_tokens, result.usage.output_tokens) == (21, 13)
            return found

        return asyncio.run(pieces())

    def tools(self, streamed=False):
        return self.run(WEATHER, streamed, tools=[weather])

    def structured(self):
        from pydantic_ai import NativeOutput

        return self.run(PROGRAMMER, output_type=NativeOutput(Person))

    def image(self):
        from pydantic_ai import BinaryContent

        return self.run([PICTURE, BinaryContent(PIXEL, media_type="image/png")])


class PydanticAiChat(PydanticAi):
    """pydantic-ai, chat completions."""

    def made(self):
        from pydantic_ai.models.openai import OpenAIChatModel
        from pydantic_ai.providers.openai import OpenAIProvider

        return OpenAIChatModel(self.model, provider=OpenAIProvider(base_url=f"{self.url}/v1", api_key="unused"))


class PydanticAiResponses(PydanticAi):
    """pydantic-ai, Responses."""

    def made(self):
        from pydantic_ai.models.openai import OpenAIResponsesModel
        from pydantic_ai.providers.openai import OpenAIProvider

        return OpenAIResponsesModel(self.model, provider=OpenAIProvider(base_url=f"{self.url}/v1", api_key="unused"))


class PydanticAiAnthropic(PydanticAi):
    """pydantic-ai, Messages."""

    def made(self):
        from pydantic_ai.models.anthropic import AnthropicModel
        from pydantic_ai.providers.anthropic import AnthropicProvider

        return AnthropicModel(self.model, provider=AnthropicProvider(base_url=self.url, api_key="unused"))


class LiteLlm(Client):
    """The LiteLLM SDK, by the prefix and the address of `way`."""

    def ask(self, content, **more):
        import litellm

        messages = content if isinstance(content, list) else [{"role": "user", "content": content}]
        messages = [{"role": "system", "content": SYSTEM}, *messages]
        prefix, address = self.way()
        return litellm.completion(
            model=f"{prefix}/{self.model}", api_base=address, api_key="unused", messages=messages,
            max_tokens=LIMIT, num_retries=0, timeout=30, **more,
        )

    def text(self):
        answer = self.ask(SKY)
        assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (21, 13)
        return answer.choices[0].message.content

    def stream(self):
        return [chunk.choices[0].delta.content or "" for chunk in self.ask(SKY, stream=True)]

    def tools(self, streamed=False):
        import litellm

        messages = [{"role": "user", "content": WEATHER}]
        answer = self.ask(messages, tools=OpenAiChat.offered, stream=streamed)
        said = (litellm.stream_chunk_builder(list(answer)) if streamed else answer).choices[0].message
        messages.append(said.model_dump(exclude_none=True))
        for made in said.tool_calls:
            report = weather(**json.loads(made.function.arguments))
            messages.append({"role": "tool", "tool_call_id": made.id, "content": report})
        return self.ask(messages, tools=OpenAiChat.offered).choices[0].message.content

    def structured(self):
        return Person.model_validate_json(self.ask(PROGRAMMER, response_format=Person).choices[0].message.content)

    def image(self):
        picture = {"type": "image_url", "image_url": {"url": PIXEL_URL}}
        said = [{"role": "user", "content": [{"type": "text", "text": PICTURE}, picture]}]
        return self.ask(said).choices[0].message.content


class LiteLlmOpenAi(LiteLlm):
    """litellm as a client of OpenAI."""

    def way(self):
        return "openai", f"{self.url}/v1"


class LiteLlmAnthropic(LiteLlm):
    """litellm as a client of Anthropic."""

    def way(self):
        return "anthropic", self.url

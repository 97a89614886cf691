"""LangChain, pydantic-ai and LiteLLM, doing what the official SDKs do in `clients.py`."""

import asyncio
import functools
import json
import os

from clients import (
    LIMIT, PICTURE, PIXEL, PIXEL_BASE64, PIXEL_URL, PROGRAMMER, SKY, SYSTEM, WEATHER, Client, OpenAiChat, Person, weather,
)

# LiteLLM fetches both from the network otherwise.
os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")
os.environ.setdefault("LITELLM_LOCAL_ANTHROPIC_BETA_HEADERS", "True")


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

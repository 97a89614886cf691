"""The official OpenAI SDK for Python, synchronous and not, as a client."""

import asyncio
import time

import openai
import pytest

from checks import modelled, timing
from conftest import KEY, NARROW

MESSAGES = [{"role": "user", "content": "Why is the sky blue?"}]


def client(process, key="unused", **options):
    return openai.OpenAI(api_key=key, base_url=f"{process.url}/v1", max_retries=0, timeout=30, **options)


@pytest.fixture(params=["zero:gpt-4o", "gateway:gpt-4o", "gateway:openai/gpt-4o", "gateway:sim/anything"])
def place(request):
    """A running gateway and a model that it serves."""
    name, model = request.param.split(":")
    return request.getfixturevalue(name), model


def test_chat_streamed_and_not_say_the_same(place):
    process, model = place
    sdk = client(process)
    call = {"model": model, "messages": MESSAGES, "seed": 7}
    whole = sdk.chat.completions.create(**call)
    text = whole.choices[0].message.content
    assert text and whole.choices[0].finish_reason == "stop"
    assert whole.usage.total_tokens == whole.usage.prompt_tokens + whole.usage.completion_tokens > 0

    chunks = list(sdk.chat.completions.create(**call, stream=True, stream_options={"include_usage": True}))
    assert "".join(c.choices[0].delta.content or "" for c in chunks if c.choices) == text
    assert [c.choices[0].finish_reason for c in chunks if c.choices][-1] == "stop"
    assert chunks[-1].usage.completion_tokens == whole.usage.completion_tokens


def test_chat_stream_without_usage_has_none_injected(gateway):
    chunks = list(client(gateway).chat.completions.create(model="gpt-4o", messages=MESSAGES, stream=True))
    assert chunks and all(chunk.choices and chunk.usage is None for chunk in chunks)


def test_the_stream_helper_accumulates(place):
    process, model = place
    with client(process).chat.completions.stream(model=model, messages=MESSAGES) as stream:
        kinds = [event.type for event in stream]
        final = stream.get_final_completion()
    assert "content.delta" in kinds and "content.done" in kinds
    assert final.choices[0].message.content


def test_responses_streamed_and_not(place):
    process, model = place
    sdk = client(process)
    whole = sdk.responses.create(model=model, input="Why is the sky blue?")
    assert whole.output_text and whole.status == "completed" and whole.usage.output_tokens > 0
    events = list(sdk.responses.create(model=model, input="Why is the sky blue?", stream=True))
    assert (events[0].type, events[-1].type) == ("response.created", "response.completed")
    deltas = "".join(event.delta for event in events if event.type == "response.output_text.delta")
    assert deltas == events[-1].response.output_text != ""
    assert [event.sequence_number for event in events] == list(range(len(events)))


def test_completions_streamed_and_not(place):
    process, model = place
    sdk = client(process)
    whole = sdk.completions.create(model=model, prompt="The sky is", seed=7)
    assert whole.choices[0].text
    chunks = list(sdk.completions.create(model=model, prompt="The sky is", seed=7, stream=True))
    assert "".join(c.choices[0].text for c in chunks if c.choices) == whole.choices[0].text


def test_embeddings_as_numbers_and_as_base64(place):
    process, model = place
    sdk = client(process)
    texts = ["The sky is blue.", "Grass is green.", "The sky is blue."]
    packed = sdk.embeddings.create(model=model, input=texts)
    plain = sdk.embeddings.create(model=model, input=texts, encoding_format="float")
    assert [item.index for item in packed.data] == [0, 1, 2]
    first, second, third = (item.embedding for item in packed.data)
    assert first == third != second and len(first) == len(second)
    assert first == pytest.approx(plain.data[0].embedding, abs=1e-6)


def test_models_are_listed_and_found(gateway):
    sdk = client(gateway)
    names = [model.id for model in sdk.models.list()]
    assert names and len(names) == len(set(names))
    for name in names[:3]:
        assert sdk.models.retrieve(name).id == name
    with pytest.raises(openai.NotFoundError):
        sdk.models.retrieve("no-such-model")


def test_what_happened_is_in_the_headers(gateway):
    sdk = client(gateway)
    raw = sdk.chat.completions.with_raw_response.create(
        model="openai/gpt-4o", messages=MESSAGES, extra_headers={"x-request-id": "mine-1"}
    )
    modelled(raw.headers, "openai")
    assert raw.headers["x-request-id"] == "mine-1"
    assert raw.headers["x-nowait-model"] == "gpt-4o"
    assert raw.parse().choices[0].message.content

    with sdk.chat.completions.with_streaming_response.create(
        model="gpt-4o", messages=MESSAGES, stream=True
    ) as streamed:
        modelled(streamed.headers, "openai")
        assert streamed.headers["x-accel-buffering"] == "no"
        assert "no-cache" in streamed.headers["cache-control"]
        assert list(streamed.iter_lines())[-2:] == ["data: [DONE]", ""]


def test_only_simulated_answers_say_so(zero, gateway):
    for process, expected in [(zero, "true"), (gateway, None)]:
        raw = client(process).chat.completions.with_raw_response.create(model="gpt-4o", messages=MESSAGES)
        assert raw.headers.get("x-nowait-simulated") == expected


def test_asynchronous_calls_run_side_by_side(place):
    process, model = place

    async def many():
        async with openai.AsyncOpenAI(
            api_key="unused", base_url=f"{process.url}/v1", max_retries=0, timeout=30
        ) as sdk:

            async def one(number):
                stream = await sdk.chat.completions.create(
                    model=model, messages=[{"role": "user", "content": f"number {number}"}], stream=True
                )
                return "".join([c.choices[0].delta.content or "" async for c in stream if c.choices])

            plain = sdk.chat.completions.create(model=model, messages=MESSAGES)
            answer, *texts = await asyncio.gather(plain, *(one(number) for number in range(20)))
            return answer.choices[0].message.content, texts

    text, texts = asyncio.run(many())
    assert text and len(texts) == 20 and all(texts)


@pytest.mark.parametrize(
    ("call", "error", "status", "code", "said"),
    [
        ({"model": "gpt-4o", "messages": 7}, openai.BadRequestError, 400, None, ""),
        ({"model": 7, "messages": MESSAGES}, openai.BadRequestError, 400, "invalid_request", "model"),
        ({"model": "nobody/x", "messages": MESSAGES}, openai.NotFoundError, 404, "model_not_found", "nobody"),
        ({"model": "gtp-4o", "messages": MESSAGES}, openai.NotFoundError, 404, "model_not_found", "gpt-4o"),
        (
            {"model": "claude-3-5-haiku-20241022", "messages": MESSAGES, "n": 2},
            openai.BadRequestError, 400, "invalid_request", "n",
        ),
    ],
)
def test_mistakes_are_the_errors_that_the_sdk_knows(gateway, call, error, status, code, said):
    with pytest.raises(error) as caught:
        client(gateway).chat.completions.create(**call)
    assert caught.value.status_code == status
    if code:
        assert caught.value.code == code
    assert said in caught.value.message


def test_a_gateway_with_keys_asks_for_one(guarded):
    assert client(guarded, KEY).chat.completions.create(model="gpt-4o", messages=MESSAGES).choices
    assert client(guarded, NARROW).chat.completions.create(model="gpt-4o-mini", messages=MESSAGES).choices
    with pytest.raises(openai.AuthenticationError) as caught:
        client(guarded, "wrong").chat.completions.create(model="gpt-4o", messages=MESSAGES)
    assert caught.value.code == "invalid_api_key"
    assert "wrong" not in caught.value.message
    with pytest.raises(openai.PermissionDeniedError):
        client(guarded, NARROW).chat.completions.create(model="gpt-4o", messages=MESSAGES)


@pytest.mark.parametrize(
    ("fault", "error"),
    [("status=429", openai.RateLimitError), ("status=500", openai.InternalServerError), ("status=400", openai.BadRequestError)],
)
def test_the_providers_own_errors_pass(gateway, fault, error):
    with pytest.raises(error) as caught:
        client(gateway).chat.completions.create(
            model="sim/anything", messages=MESSAGES, extra_headers={"x-sim-fault": fault}
        )
    assert caught.value.response.headers["x-nowait-provider"] == "sim"
    timing(caught.value.response.headers)


def test_deadlines_end_a_call_in_time(gateway):
    slow = {"x-sim-ttft": "60s"}
    started = time.monotonic()
    with pytest.raises(openai.InternalServerError) as caught:
        client(gateway).chat.completions.create(
            model="sim/anything", messages=MESSAGES, extra_headers={**slow, "x-nowait-timeout": "200ms"}
        )
    assert caught.value.status_code == 504 and caught.value.code == "timeout"
    with pytest.raises(openai.APITimeoutError):
        client(gateway).with_options(timeout=0.3).chat.completions.create(
            model="sim/anything", messages=MESSAGES, extra_headers=slow
        )
    assert time.monotonic() - started < 10


def test_a_stream_that_breaks_is_an_error_and_not_an_end(gateway):
    stream = client(gateway).chat.completions.create(
        model="sim/anything", messages=MESSAGES, stream=True, extra_headers={"x-sim-fault": "reset@3", "x-sim-tokens": "32"}
    )
    with pytest.raises(openai.APIError):
        list(stream)


def test_a_responses_stream_that_breaks_is_an_error_and_not_an_end(gateway):
    # The first events have no content yet: until then the call has failed, and not its stream.
    headers = {"x-sim-fault": "reset@12", "x-sim-tokens": "32"}
    stream = client(gateway).responses.create(
        model="sim/anything", input="Why is the sky blue?", stream=True, extra_headers=headers
    )
    events = []
    with pytest.raises(openai.APIError, match="in the middle"):
        for event in stream:
            events.append(event.type)
    assert "response.output_text.delta" in events and "response.completed" not in events

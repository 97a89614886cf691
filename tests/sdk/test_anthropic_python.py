"""The official Anthropic SDK for Python, synchronous and not, as a client."""

import asyncio

import anthropic
import pytest

from checks import modelled
from conftest import KEY

MESSAGES = [{"role": "user", "content": "Why is the sky blue?"}]


def client(process, key="unused", **options):
    return anthropic.Anthropic(api_key=key, base_url=process.url, max_retries=0, timeout=30, **options)


@pytest.fixture(
    params=["zero:claude-3-5-haiku-20241022", "gateway:claude-sonnet-4-5", "gateway:anthropic/claude-sonnet-4-5", "gateway:sim/anything"]
)
def place(request):
    """A running gateway and a model that it serves."""
    name, model = request.param.split(":")
    return request.getfixturevalue(name), model


def test_messages_streamed_and_not_say_the_same(place):
    process, model = place
    sdk = client(process)
    call = {"model": model, "max_tokens": 256, "messages": MESSAGES}
    whole = sdk.messages.create(**call)
    text = whole.content[0].text
    assert text and whole.role == "assistant" and whole.stop_reason == "end_turn"
    assert whole.usage.input_tokens > 0 and whole.usage.output_tokens > 0

    events = list(sdk.messages.create(**call, stream=True))
    assert (events[0].type, events[-1].type) == ("message_start", "message_stop")
    deltas = [event.delta.text for event in events if event.type == "content_block_delta"]
    assert len(deltas) > 1 and "".join(deltas) == text

    with sdk.messages.stream(**call) as stream:
        assert "".join(stream.text_stream) == text
        final = stream.get_final_message()
    assert final.content[0].text == text
    assert final.usage.output_tokens == whole.usage.output_tokens


def test_max_tokens_ends_an_answer(place):
    process, model = place
    answer = client(process).messages.create(
        model=model, max_tokens=3, messages=MESSAGES, extra_headers={"x-sim-tokens": "40"}
    )
    assert answer.usage.output_tokens <= 3
    if model.startswith("sim/"):
        assert answer.stop_reason == "max_tokens"


def test_tokens_are_counted(place):
    process, model = place
    sdk = client(process)
    short = sdk.messages.count_tokens(model=model, messages=MESSAGES).input_tokens
    long = sdk.messages.count_tokens(model=model, messages=MESSAGES * 1 + [{"role": "user", "content": "word " * 99}])
    assert 0 < short < long.input_tokens


def test_models_have_anthropics_form(gateway):
    sdk = client(gateway)
    listed = list(sdk.models.list())
    assert listed and all(model.type == "model" and model.display_name for model in listed)
    assert sdk.models.retrieve(listed[0].id).id == listed[0].id


def test_what_happened_is_in_the_headers(gateway):
    raw = client(gateway).messages.with_raw_response.create(
        model="anthropic/claude-sonnet-4-5", max_tokens=64, messages=MESSAGES
    )
    modelled(raw.headers, "anthropic")
    assert raw.headers["x-nowait-model"] == "claude-sonnet-4-5"


def test_asynchronous_calls_run_side_by_side(place):
    process, model = place

    async def many():
        async with anthropic.AsyncAnthropic(
            api_key="unused", base_url=process.url, max_retries=0, timeout=30
        ) as sdk:

            async def one(number):
                call = {"model": model, "max_tokens": 64, "messages": [{"role": "user", "content": f"number {number}"}]}
                async with sdk.messages.stream(**call) as stream:
                    return "".join([text async for text in stream.text_stream])

            return await asyncio.gather(*(one(number) for number in range(20)))

    texts = asyncio.run(many())
    assert len(texts) == 20 and all(texts)


@pytest.mark.parametrize(
    ("model", "error", "kind", "said"),
    [
        ("nobody/x", anthropic.NotFoundError, "not_found_error", "nobody"),
    ],
)
def test_mistakes_are_the_errors_that_the_sdk_knows(gateway, model, error, kind, said):
    with pytest.raises(error) as caught:
        client(gateway).messages.create(model=model, max_tokens=64, messages=MESSAGES)
    body = caught.value.body
    assert (body["type"], body["error"]["type"]) == ("error", kind)
    assert said in body["error"]["message"]
    assert body["request_id"] == caught.value.response.headers["x-request-id"]


def test_a_gateway_with_keys_asks_for_one(guarded):
    call = {"model": "claude-sonnet-4-5", "max_tokens": 64, "messages": MESSAGES}
    assert client(guarded, KEY).messages.create(**call).content
    with anthropic.Anthropic(auth_token=KEY, base_url=guarded.url, max_retries=0) as sdk:
        assert sdk.messages.create(**call).content
    with pytest.raises(anthropic.AuthenticationError) as caught:
        client(guarded, "wrong").messages.create(**call)
    assert caught.value.body["error"]["type"] == "authentication_error"


def test_the_providers_own_errors_pass(gateway):
    cases = [
        ("status=529", anthropic.InternalServerError, 529),
        ("status=429", anthropic.RateLimitError, 429),
    ]
    for fault, error, status in cases:
        with pytest.raises(error) as caught:
            client(gateway).messages.create(
                model="sim/anything", max_tokens=64, messages=MESSAGES, extra_headers={"x-sim-fault": fault}
            )
        assert caught.value.status_code == status
        assert caught.value.body["type"] == "error"


def test_a_stream_that_breaks_is_an_error_and_not_an_end(gateway):
    headers = {"x-sim-fault": "reset@3", "x-sim-tokens": "32"}
    with pytest.raises(anthropic.APIError):
        with client(gateway).messages.stream(
            model="sim/anything", max_tokens=64, messages=MESSAGES, extra_headers=headers
        ) as stream:
            stream.get_final_message()

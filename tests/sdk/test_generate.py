"""The plain endpoint as people call it: query or JSON, whole, streamed, in a batch."""

import json
import time

import pytest
import requests

from checks import conforms, events, modelled, problem
from conftest import KEY

PROMPT = "Why is the sky blue?"
OWN = {"x-nowait-cache": "off"}
"""Wants an answer of its own: a kept one comes at once and in one piece."""


@pytest.fixture(params=["zero", "gateway"])
def place(request):
    return request.getfixturevalue(request.param)


@pytest.mark.parametrize("path", ["/generate", "/generate_claude"])
def test_yesterdays_client_code_works_unchanged(place, path):
    """What people have for their FastAPI service, word for word but for the address."""
    response = requests.post(f"{place.url}{path}?prompt={PROMPT}", timeout=30)
    response.raise_for_status()
    assert response.json()["response"]
    again = requests.post(f"{place.url}{path}", params={"prompt": PROMPT}, timeout=30).json()
    as_json = requests.post(f"{place.url}{path}", json={"prompt": PROMPT}, timeout=30).json()
    assert again["response"] == as_json["response"] == response.json()["response"]


@pytest.mark.parametrize("path", ["/generate", "/generate_claude"])
def test_an_answer_is_what_the_description_says(place, http, api, path):
    response = http.post(place.url + path, json={"prompt": PROMPT, "temperature": 0, "max_tokens": 40, "seed": 3})
    assert response.status_code == 200, response.text
    answer = response.json()
    conforms(api, "Answer", answer)
    assert answer["response"] and answer["cached"] is False
    assert answer["usage"]["input_tokens"] > 0 < answer["usage"]["output_tokens"]
    assert answer["provider"] == response.headers["x-nowait-provider"]
    modelled(response.headers)


def test_defaults_are_the_documented_ones(gateway, http):
    plain = http.post(f"{gateway.url}/generate", params={"prompt": PROMPT})
    claude = http.post(f"{gateway.url}/generate_claude", params={"prompt": PROMPT})
    assert (plain.headers["x-nowait-provider"], plain.headers["x-nowait-model"]) == ("openai", "gpt-4o")
    assert claude.headers["x-nowait-provider"] == "anthropic"
    assert claude.headers["x-nowait-model"] == "claude-3-5-haiku-20241022"


def test_every_model_answers_whatever_its_dialect(gateway, http):
    for model in ["gpt-4o", "claude-sonnet-4-5", "anthropic/claude-sonnet-4-5", "sim/anything"]:
        answer = http.post(f"{gateway.url}/generate", json={"prompt": PROMPT, "model": model}).json()
        assert answer["response"], (model, answer)


def test_the_prompt_reaches_the_model_whole(gateway, http):
    prompt = 'a "quoted" \\ line\n\twith ünïcödé 🙂 & percent % signs'
    for call in [{"params": {"prompt": prompt, "model": "sim/echo"}}, {"json": {"prompt": prompt, "model": "sim/echo"}}]:
        assert http.post(f"{gateway.url}/generate", **call).json()["response"] == prompt


@pytest.mark.parametrize("path", ["/generate", "/generate_claude"])
@pytest.mark.parametrize("how", ["field", "accept", "query"])
def test_a_stream_adds_up_to_the_answer(place, http, api, path, how):
    body, headers, query = {"prompt": PROMPT}, OWN, {}
    whole = http.post(place.url + path, json=body).json()
    if how == "field":
        body = {**body, "stream": True}
    elif how == "accept":
        headers = {**OWN, "accept": "text/event-stream"}
    else:
        body, query = None, {"prompt": PROMPT, "stream": "true"}
    with http.stream("POST", place.url + path, params=query, json=body, headers=headers) as response:
        assert response.status_code == 200, response.read()
        assert response.headers["content-type"].startswith("text/event-stream")
        assert response.headers["x-accel-buffering"] == "no"
        seen = list(events(response.read().decode()))
    text = "".join(json.loads(data)["delta"] for name, data in seen if name == "message")
    assert text == whole["response"] and len(seen) > 2
    name, data = seen[-1]
    assert name == "done" and [name for name, _ in seen].count("done") == 1
    end = json.loads(data)
    conforms(api, "AnswerEnd", end)
    assert "response" not in end
    assert end["usage"]["output_tokens"] == whole["usage"]["output_tokens"]


@pytest.mark.parametrize("path", ["/generate", "/generate_claude"])
def test_plain_text_is_the_bare_text(place, http, path):
    whole = http.post(place.url + path, json={"prompt": PROMPT}).json()
    bare = http.post(place.url + path, json={"prompt": PROMPT}, headers={"accept": "text/plain"})
    assert bare.headers["content-type"].startswith("text/plain")
    assert bare.text == whole["response"]


@pytest.mark.parametrize("accept", ["text/event-stream", "text/plain"])
def test_tokens_arrive_as_they_are_made(gateway, http, accept):
    headers = {**OWN, "accept": accept, "x-sim-gap": "100ms", "x-sim-tokens": "8"}
    times = []
    call = {"prompt": PROMPT, "model": "sim/anything"}
    with http.stream("POST", f"{gateway.url}/generate", json=call, headers=headers) as response:
        for _ in response.iter_raw():
            times.append(time.monotonic())
    # Eight tokens 100 ms apart; a buffer in between would make it one burst.
    assert len(times) >= 6 and times[-1] - times[0] > 0.4


def test_a_batch_answers_in_the_order_asked(place, http, api):
    prompts = [f"Name thing {number}." for number in range(12)]
    single = [http.post(f"{place.url}/generate", json={"prompt": prompt, "seed": 5}).json() for prompt in prompts]
    batch = http.post(f"{place.url}/generate/batch", json={"prompts": prompts, "seed": 5})
    assert batch.status_code == 200, batch.text
    conforms(api, "BatchAnswer", batch.json())
    texts = [item["response"] for item in batch.json()["responses"]]
    assert texts == [answer["response"] for answer in single]


def test_batch_items_have_settings_of_their_own_and_fail_alone(gateway, http, api):
    body = {
        "prompts": ["first", {"prompt": "second", "model": "nobody/x"}, {"prompt": "third", "model": "sim/echo"}],
        "model": "sim/anything",
    }
    response = http.post(f"{gateway.url}/generate/batch", json=body)
    conforms(api, "BatchAnswer", response.json())
    first, second, third = response.json()["responses"]
    assert first["response"] and third["response"] == "third"
    assert (second["error"]["status"], second["error"]["code"]) == (404, "model_not_found")


def test_batch_items_run_side_by_side_up_to_the_bound(gateway, http):
    headers = {**OWN, "x-sim-ttft": "300ms"}
    body = {"prompts": [f"{n}" for n in range(8)], "model": "sim/anything"}
    started = time.monotonic()
    http.post(f"{gateway.url}/generate/batch", json=body, headers=headers).raise_for_status()
    together = time.monotonic() - started
    assert 0.3 <= together < 1.5
    started = time.monotonic()
    http.post(f"{gateway.url}/generate/batch", json={**body, "concurrency": 2}, headers=headers).raise_for_status()
    assert time.monotonic() - started >= 1.2


def test_batch_lines_come_as_they_finish(gateway, http, api):
    body = {"prompts": [f"{n}" for n in range(6)], "model": "sim/echo", "concurrency": 3}
    headers = {"accept": "application/x-ndjson", "x-sim-ttft": "200ms"}
    times, items = [], []
    with http.stream("POST", f"{gateway.url}/generate/batch", json=body, headers=headers) as response:
        assert response.headers["content-type"].startswith("application/x-ndjson")
        for line in response.iter_lines():
            times.append(time.monotonic())
            items.append(json.loads(line))
    assert sorted(item["index"] for item in items) == list(range(6))
    assert all(item["response"] == str(item["index"]) for item in items)
    for item in items:
        conforms(api, "Answer", {key: value for key, value in item.items() if key != "index"})
    assert times[-1] - times[0] > 0.15


@pytest.mark.parametrize(
    ("path", "call", "status", "code", "said"),
    [
        ("/generate", {}, 400, "invalid_request", "prompt"),
        ("/generate", {"json": {}}, 400, "invalid_request", "prompt"),
        ("/generate", {"json": []}, 400, "invalid_request", "object"),
        ("/generate", {"json": {"prompt": 7}}, 400, "invalid_request", "prompt"),
        ("/generate", {"json": {"prompt": "x", "max_tokens": "many"}}, 400, "invalid_request", "max_tokens"),
        ("/generate", {"content": b'{"prompt": '}, 400, "invalid_request", ""),
        ("/generate", {"content": b'{"prompt": "\xff"}'}, 400, "invalid_request", ""),
        ("/generate", {"json": {"prompt": "x", "model": "gtp-4o"}}, 404, "model_not_found", "gpt-4o"),
        ("/generate/batch", {"json": {}}, 400, "invalid_request", "prompts"),
        ("/generate/batch", {"json": {"prompts": ["x", 7]}}, 400, "invalid_request", "prompts[1]"),
        ("/generate/batch", {"json": {"prompts": [{"prompt": "x", "stop": 7}]}}, 400, "invalid_request", "prompts[0].stop"),
    ],
)
def test_mistakes_are_named(gateway, http, api, path, call, status, code, said):
    response = http.post(gateway.url + path, **call)
    detail = problem(api, response, status, code)
    assert said in detail or response.json().get("param") == said
    assert not detail.endswith(".")


def test_a_field_that_is_not_carried_is_named(gateway, http):
    response = http.post(f"{gateway.url}/generate", json={"prompt": "x", "max_token": 5, "top_k": None})
    assert response.status_code == 200
    assert response.headers["x-nowait-dropped"] == "max_token"


def test_a_body_over_the_limit_is_refused(gateway, http, api):
    body = b'{"prompt": "' + b"x" * (33 << 20) + b'"}'
    try:
        response = http.post(f"{gateway.url}/generate", content=body)
    except Exception as error:
        raise AssertionError("the connection broke before the answer could be read") from error
    problem(api, response, 413, "request_too_large")


def test_a_deadline_in_the_body_or_the_header_is_kept(gateway, http, api):
    slow = {"x-sim-ttft": "60s"}
    call = {"prompt": "x", "model": "sim/anything"}
    for body, headers in [({**call, "timeout": 0.2}, slow), (call, {**slow, "x-nowait-timeout": "200ms"})]:
        started = time.monotonic()
        response = http.post(f"{gateway.url}/generate", json=body, headers=headers)
        problem(api, response, 504, "timeout")
        assert time.monotonic() - started < 5


def test_a_stream_that_breaks_ends_with_an_error_event(gateway, http, api):
    headers = {"accept": "text/event-stream", "x-sim-fault": "reset@3", "x-sim-tokens": "32"}
    response = http.post(f"{gateway.url}/generate", json={"prompt": "x", "model": "sim/anything"}, headers=headers)
    names = [name for name, _ in events(response.text)]
    assert names[-1] == "error" and "done" not in names
    conforms(api, "Problem", json.loads(list(events(response.text))[-1][1]))


def test_keys_are_asked_for(guarded, http, api):
    body = {"prompt": "x"}
    problem(api, http.post(f"{guarded.url}/generate", json=body), 401, "invalid_api_key")
    for headers in [{"authorization": f"Bearer {KEY}"}, {"x-api-key": KEY}]:
        assert http.post(f"{guarded.url}/generate", json=body, headers=headers).status_code == 200

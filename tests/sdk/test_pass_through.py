"""What passes untouched: raw paths, bytes of every size and kind, headers."""

import hashlib
import json
import os

import httpx
import openai
import pytest

from checks import identified
from conftest import KEY, free_port


def echoed(response):
    """What the provider received, headers as a list of pairs."""
    assert response.status_code == 200, response.text
    identified(response.headers)
    return response.json()


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE"])
@pytest.mark.parametrize("version", ["/v1", ""])
def test_any_method_and_path_reaches_its_provider(gateway, http, method, version):
    body = None if method in ("GET", "DELETE") else os.urandom(1000)
    response = http.request(
        method, f"{gateway.url}/openai{version}/echo/a%2Fb/c?x=1&y=%20z&x=2", content=body, headers={"x-mine": "kept"}
    )
    seen = echoed(response)
    assert (seen["method"], seen["query"]) == (method, "x=1&y=%20z&x=2")
    assert seen["path"] == "/v1/echo/a%2Fb/c"
    assert ["x-mine", "kept"] in seen["headers"]
    if body:
        assert seen["body"] == {"length": 1000, "sha256": hashlib.sha256(body).hexdigest()}


def test_what_is_meant_for_nowait_goes_no_further(gateway, http):
    ours = {
        "x-nowait-timeout": "10s", "x-nowait-cache": "off", "x-nowait-hedge": "off", "x-nowait-retries": "1",
        "x-nowait-tags": "team=a", "x-nowait-priority": "batch",
    }
    one_hop = {"connection": "close, x-hop", "x-hop": "1", "te": "trailers", "proxy-authorization": "Basic eDp5"}
    kept = {"x-request-id": "mine-7", "traceparent": "00-" + "a" * 32 + "-" + "b" * 16 + "-01", "openai-beta": "x=v1"}
    seen = echoed(http.get(f"{gateway.url}/openai/echo", headers={**ours, **one_hop, **kept, "x-api-key": "the-callers"}))
    names = {name for name, _ in seen["headers"]}
    assert not names & {*ours, "x-hop", "proxy-authorization", "x-api-key", "x-sim-fault"}
    assert [[name, value] in seen["headers"] for name, value in kept.items()] == [True] * 3
    values = dict(map(tuple, seen["headers"]))
    assert values["authorization"] == "Bearer test"
    assert values["host"] != httpx.URL(gateway.url).netloc.decode()
    assert values["via"].startswith("1.1 nowait-")


def test_a_gateway_key_is_never_forwarded(guarded, http):
    seen = echoed(http.get(f"{guarded.url}/sim/echo", headers={"authorization": f"Bearer {KEY}"}))
    assert KEY not in json.dumps(seen)


def test_large_bodies_are_streamed_both_ways(gateway, http):
    """64 MiB each way: over `max_body`, which bounds only what must be held."""
    size, block = 64 << 20, os.urandom(1 << 20)
    expected = hashlib.sha256()

    def blocks():
        for _ in range(size // len(block)):
            expected.update(block)
            yield block

    before = resident(gateway)
    uploaded = http.post(f"{gateway.url}/openai/upload", content=blocks(), timeout=60).json()
    assert uploaded == {"length": size, "sha256": expected.hexdigest()}
    seen = 0
    with http.stream("GET", f"{gateway.url}/openai/download/{size}", timeout=60) as response:
        for chunk in response.iter_raw():
            seen += len(chunk)
    assert seen == size
    assert resident(gateway) - before < 16 << 20


def resident(process):
    """The process's memory in bytes, as the kernel counts it."""
    with open(f"/proc/{process.child.pid}/statm") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def test_an_sdk_may_stand_on_a_providers_own_path(gateway):
    """`base_url` with the provider in it: calls and everything else in one client."""
    sdk = openai.OpenAI(api_key="unused", base_url=f"{gateway.url}/openai/v1", max_retries=0, timeout=30)
    answer = sdk.chat.completions.create(model="gpt-4o", messages=[{"role": "user", "content": "hello"}])
    assert answer.choices[0].message.content
    upload = sdk.post("/upload", cast_to=httpx.Response, body=None, files={"file": ("a.bin", b"\0\1\2" * 999)})
    assert upload.json()["length"] > 2997


def test_a_loop_is_refused_by_name(start):
    """Two gateways, each the other's provider."""
    ports = free_port(), free_port()

    def towards(port):
        return f'[providers.openai]\napi_key = "k"\nbase_url = "http://127.0.0.1:{port}/v1"\n'

    one = start(config=towards(ports[1]), port=ports[0])
    start(config=towards(ports[0]), port=ports[1])
    response = httpx.post(f"{one.url}/generate", json={"prompt": "x"}, timeout=20)
    assert response.status_code == 508, response.text
    assert "base_url" in response.text

"""The description of the endpoints: valid, true, and the same as is served."""

import json
import re

import pytest
from openapi_schema_validator import OAS31Validator
from openapi_spec_validator import OpenAPIV31SpecValidator

from checks import events, schema_errors
from conftest import KEY, NARROW, configuration, until


def operations(api):
    for path, item in api["paths"].items():
        for method in ("get", "post", "put", "patch", "delete"):
            if method in item:
                yield method, path, item[method]


def resolved(api, node):
    while "$ref" in node:
        target = api
        for part in node["$ref"].removeprefix("#/").split("/"):
            target = target[part]
        node = target
    return node


def test_it_is_openapi_3_1(api):
    errors = [error.message for error in OpenAPIV31SpecValidator(api).iter_errors()]
    assert errors == []


def test_what_is_served_is_what_is_in_the_repository(zero, http, api):
    response = http.get(f"{zero.url}/openapi.json")
    assert response.headers["content-type"] == "application/json"
    assert response.json() == api
    again = http.get(f"{zero.url}/openapi.json", headers={"if-none-match": response.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


def examples(api, content):
    for kind, media in content.items():
        for name, example in media.get("examples", {}).items():
            yield kind, media, name, resolved(api, example)["value"]


def test_every_example_fits_its_schema(api):
    wrong = []

    def check(where, schema, value):
        whole = {**schema, "components": api["components"]}
        wrong.extend(f"{where}: {error.message}" for error in OAS31Validator(whole).iter_errors(value))

    for method, path, operation in operations(api):
        where = f"{method} {path}"
        for kind, media, name, value in examples(api, operation.get("requestBody", {}).get("content", {})):
            check(f"{where} {name}", media["schema"], value)
        for status, response in operation["responses"].items():
            for kind, media, name, value in examples(api, resolved(api, response).get("content", {})):
                check(f"{where} {status} {name}", media["schema"], value)
                if kind == "text/event-stream":
                    data = [(event, json.loads(text)) for event, text in events(value)]
                    assert data[-1][0] == "done"
                    wrong.extend(schema_errors(api, "AnswerEnd", data[-1][1]))
                if kind == "application/x-ndjson":
                    assert all("index" in json.loads(line) for line in value.splitlines())
    assert wrong == []


def test_every_example_of_a_call_is_answered(zero, http, api):
    """Only the query fields and bodies that the description shows."""
    failed = []
    for method, path, operation in operations(api):
        if "{" in path:
            continue
        headers = {"anthropic-version": "2023-06-01"} if "Anthropic" in operation["tags"] else {}
        bodies = list(examples(api, operation.get("requestBody", {}).get("content", {}))) or [(None,) * 4]
        for _, _, name, value in bodies:
            response = http.request(method, zero.url + path, json=value, headers=headers)
            if response.status_code != 200:
                failed.append(f"{method} {path} {name}: {response.status_code} {response.text[:200]}")
                continue
            kind = response.headers["content-type"].split(";")[0]
            if kind not in operation["responses"]["200"]["content"]:
                failed.append(f"{method} {path} {name}: {kind} is not described")
    assert failed == []


@pytest.mark.parametrize("path", ["/generate", "/generate_claude", "/generate/batch"])
def test_every_header_of_an_answer_is_described(zero, http, api, path):
    body = {"prompts": ["x"]} if path.endswith("batch") else {"prompt": "x"}
    described = {name.lower() for name in api["paths"][path]["post"]["responses"]["200"]["headers"]}
    standard = {"content-type", "content-length", "date", "transfer-encoding", "trailer", "age", "server"}
    for accept in api["paths"][path]["post"]["responses"]["200"]["content"]:
        answer = http.post(zero.url + path, json=body, headers={"accept": accept})
        assert answer.status_code == 200
        limits = {name for name in answer.headers if "ratelimit-" in name}
        assert set(answer.headers) - standard - limits <= described
        assert {"x-request-id", "server-timing"} <= set(answer.headers)


def test_query_parameters_are_read(zero, http, api):
    names = [resolved(api, entry) for entry in api["paths"]["/generate"]["post"]["parameters"]]
    query = {entry["name"] for entry in names if entry["in"] == "query"}
    values = {
        "prompt": "x", "model": "sim/echo", "system": "s", "max_tokens": "5", "temperature": "0",
        "stop": ".", "seed": "1", "timeout": "10s", "stream": "false",
    }
    assert query == set(values)
    answer = http.post(f"{zero.url}/generate", params=values)
    assert answer.status_code == 200, answer.text
    bad = http.post(f"{zero.url}/generate", params={**values, "max_tokens": "many"})
    assert bad.status_code == 400 and "max_tokens" in bad.text


def test_unknown_paths_and_methods_are_named(zero, http):
    for method, path, status in [("GET", "/nowhere", 404), ("DELETE", "/generate", 405), ("GET", "/v1/chat/completions", 405)]:
        response = http.request(method, zero.url + path)
        assert response.status_code == status, (method, path, response.text)
        if status == 405:
            assert "POST" in response.headers["allow"]


@pytest.mark.parametrize("path", ["/health", "/healthz", "/livez", "/readyz", "/health/liveliness", "/health/readiness"])
def test_health_never_asks_for_a_key(guarded, http, path):
    response = http.get(guarded.url + path)
    assert response.status_code == 200 and response.json()["status"]
    assert http.head(guarded.url + path).status_code == 200


def test_metrics_want_an_admin_and_are_prometheus_text(guarded, http):
    def ask(key):
        return http.get(f"{guarded.url}/metrics", headers={"authorization": f"Bearer {key}"} if key else {})

    assert ask(None).status_code == 401
    assert ask(NARROW).status_code == 403
    response = ask(KEY)
    assert response.status_code == 200
    assert "# TYPE" in response.text and response.text.endswith("# EOF\n")


def test_the_status_wants_an_admin_and_is_what_is_described(guarded, http, api):
    def ask(key):
        return http.get(f"{guarded.url}/status", headers={"authorization": f"Bearer {key}"} if key else {})

    assert ask(None).status_code == 401
    assert ask(NARROW).status_code == 403
    call = {"model": "gpt-4o", "stream": True, "messages": [{"role": "user", "content": "x"}]}
    assert http.post(f"{guarded.url}/v1/chat/completions", json=call, headers={"authorization": f"Bearer {KEY}"}).status_code == 200
    status = ask(KEY)
    assert (status.status_code, schema_errors(api, "Status", status.json())) == (200, [])
    targets = [target for provider in status.json()["providers"] for key in provider["keys"] for target in key["targets"]]
    assert any(target["first_content"]["ewma_ms"] is not None for target in targets)


def test_a_purge_wants_an_admin_and_tells_what_it_dropped(guarded, http, api):
    def ask(key, path, body):
        return http.post(guarded.url + path, json=body, headers={"authorization": f"Bearer {key}"} if key else {})

    first = ask(KEY, "/generate", {"prompt": "to be purged"})
    name = first.headers["x-nowait-cache-key"]
    assert re.fullmatch("[0-9a-f]{64}", name)
    assert ask(KEY, "/generate", {"prompt": "to be purged"}).json()["cached"]
    assert ask(None, "/cache/purge", {"key": name}).status_code == 401
    assert ask(NARROW, "/cache/purge", {"key": name}).status_code == 403
    for wrong in ({}, {"key": "x"}, {"all": True, "model": "m"}):
        refused = ask(KEY, "/cache/purge", wrong)
        assert (refused.status_code, schema_errors(api, "Problem", refused.json())) == (400, [])
    purged = ask(KEY, "/cache/purge", {"key": name})
    assert (purged.status_code, schema_errors(api, "Purged", purged.json())) == (200, [])
    assert purged.json()["memory"] == 1
    again = ask(KEY, "/generate", {"prompt": "to be purged"})
    assert not again.json()["cached"] and again.headers["cache-status"] == "nowait; fwd=miss; stored"


def test_cold_requests_after_the_start_are_none(start, sim, http):
    """`warm` connections stand before anyone asks."""
    process = start(config=configuration(sim))

    def metric(name):
        lines = http.get(f"{process.url}/metrics").text.splitlines()
        return sum(float(line.rsplit(" ", 1)[1]) for line in lines if re.match(name, line))

    until(lambda: http.get(f"{process.url}/readyz").status_code == 200, "readiness")
    assert metric(r'nowait_pool_connections\{.*state="warm"') >= 2
    for _ in range(5):
        assert http.post(f"{process.url}/generate", json={"prompt": "x"}).status_code == 200
    assert metric("nowait_handshakes_total") >= 2
    assert metric("nowait_cold_requests_total") == 0

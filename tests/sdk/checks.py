"""What every answer must satisfy, whoever asked for it."""

import re

from openapi_schema_validator import OAS31Validator

DURATION = re.compile(r"^[!#$%&'*+.^_`|~0-9A-Za-z-]+(;dur=\d+(\.\d+)?)?(;desc=.*)?$")


def timing(headers):
    """The phases of `Server-Timing` in milliseconds, its form checked."""
    phases = {}
    for entry in headers["server-timing"].split(","):
        assert DURATION.match(entry.strip()), entry
        name, _, duration = entry.strip().partition(";dur=")
        phases[name] = float(duration.split(";")[0]) if duration else None
    return phases


def identified(headers, provider=None):
    """The headers that tell what happened to a call that reached a provider."""
    assert headers["x-request-id"]
    assert headers["via"].split()[-1].startswith("nowait-")
    assert headers["x-nowait-attempts"] == "1"
    if provider:
        assert headers["x-nowait-provider"] == provider
    phases = timing(headers)
    assert "upstream" in phases and "gateway" in phases, phases


def modelled(headers, provider=None):
    """The same for a call whose model nowait knows: not one that is passed through raw."""
    identified(headers, provider)
    assert headers["x-nowait-model"]


def schema_errors(api, name, value):
    """Where `value` is not what the description calls `name`."""
    schema = {"$ref": f"#/components/schemas/{name}", "components": api["components"]}
    found = OAS31Validator(schema).iter_errors(value)
    return [f"{error.json_path}: {error.message}" for error in found]


def conforms(api, name, value):
    assert schema_errors(api, name, value) == []


def problem(api, response, status, code):
    """An RFC 9457 body with the right status and code; returns its detail."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"].split(";")[0] == "application/problem+json"
    body = response.json()
    conforms(api, "Problem", body)
    assert (body["status"], body["code"]) == (status, code)
    return body["detail"]


def events(text):
    """A stream's events as (name, data)."""
    for frame in re.split(r"\r\n\r\n|\n\n", text):
        lines = frame.splitlines()
        data = [line[5:].removeprefix(" ") for line in lines if line.startswith("data:")]
        name = [line[6:].strip() for line in lines if line.startswith("event:")]
        if data:
            yield (name[0] if name else "message", "\n".join(data))

"""The official SDKs for Node as clients: scripts in `node/`, judged here."""

import pytest

from checks import modelled


@pytest.mark.parametrize("place", ["zero:gpt-4o", "gateway:gpt-4o", "gateway:sim/anything"])
def test_openai(node, request, place):
    name, model = place.split(":")
    seen = node("openai.mjs", request.getfixturevalue(name).url, model)
    assert seen["chat"] == seen["chatStreamed"] == seen["chatHelper"] != ""
    assert seen["response"]
    assert (seen["responseEvents"][0], seen["responseEvents"][-1]) == ("response.created", "response.completed")
    assert seen["completion"]
    assert len(set(seen["embeddings"])) == 1 and seen["embeddings"][0] > 1
    assert seen["models"]
    assert seen["parallel"] == 20
    assert seen["error"] == {"name": "BadRequestError", "status": 400, "code": "invalid_request"}
    modelled(seen["headers"])


@pytest.mark.parametrize("place", ["zero:claude-3-5-haiku-20241022", "gateway:claude-sonnet-4-5", "gateway:sim/anything"])
def test_anthropic(node, request, place):
    name, model = place.split(":")
    seen = node("anthropic.mjs", request.getfixturevalue(name).url, model)
    assert seen["message"] == seen["streamed"] == seen["helper"] != ""
    assert seen["stop"] == "end_turn"
    assert (seen["events"][0], seen["events"][-1]) == ("message_start", "message_stop")
    assert seen["tokens"] > 0
    assert seen["models"]
    assert seen["error"] == {"name": "BadRequestError", "status": 400, "type": "invalid_request_error"}
    modelled(seen["headers"])

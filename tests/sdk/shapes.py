"""Whether a body is what a provider publishes as its request.

OpenAI's are held against its OpenAPI document (`NOWAIT_SPECS`, else
`../shared/specs` beside the project; without it this half is left out, and
said so) and, as Anthropic's, against the request types of its SDK. Google's
SDK has pydantic models for every part of a request. All of them are stricter
here than the SDKs themselves: what isn't in a type is wrong.
"""

import functools
import json
import os
import types
import typing
from collections import abc

import anthropic.types
import google.genai.types
import openai.types.chat.completion_create_params
import openai.types.responses.response_create_params
import pydantic
import typing_extensions
from openapi_schema_validator import OAS31Validator

from conftest import ROOT

SPEC = "openai-openapi-2.3.0.json"
ABSENT = "OpenAI's OpenAPI document is not here (NOWAIT_SPECS), so what OpenAI is sent is held against its SDK alone."


# Today's SDK has left them out; the models before Claude Opus 4.7 take them.
SAMPLING = {"temperature", "top_p", "top_k"}


def complaints(path, body):
    """What is wrong with `body` as a POST to `path`; nothing if all is well."""
    if path.endswith("/chat/completions"):
        return spec_errors("CreateChatCompletionRequest", body) + mismatches(
            openai.types.chat.completion_create_params.CompletionCreateParams, body
        )
    if path.endswith("/responses"):
        return spec_errors("CreateResponse", body) + mismatches(
            openai.types.responses.response_create_params.ResponseCreateParams, body
        )
    if path.endswith("/messages"):
        sampled = {key: value for key, value in body.items() if key not in SAMPLING}
        return mismatches(anthropic.types.MessageCreateParams, sampled)
    if ":generateContent" in path or ":streamGenerateContent" in path:
        return gemini_errors(body)
    if ":countTokens" in path:
        return count_errors(path, body)
    if ":batchEmbedContents" in path:
        return embed_errors(path, body)
    return [f"nobody takes POST {path}"]


@functools.cache
def spec():
    """OpenAI's document, if it is here."""
    folder = os.environ.get("NOWAIT_SPECS") or ROOT.parent / "shared/specs"
    # A message may be two of the document's variants at once, though it says `oneOf`.
    try:
        with open(os.path.join(folder, SPEC)) as file:
            return json.loads(file.read().replace('"oneOf"', '"anyOf"'))
    except FileNotFoundError:
        return None


def spec_errors(name, body):
    """Where `body` is not what OpenAI's document calls `name`."""
    if not spec():
        return []
    return [f"{error.json_path}: {error.message[:300]}" for error in validator(name).iter_errors(body)]


@functools.cache
def validator(name):
    return OAS31Validator({
        "$ref": f"#/components/schemas/{name}",
        "components": spec()["components"],
        "unevaluatedProperties": False,
    })


# The parts of Gemini's GenerateContentRequest.
GEMINI = {
    "contents": list[google.genai.types.Content],
    "systemInstruction": google.genai.types.Content,
    "tools": list[google.genai.types.Tool],
    "toolConfig": google.genai.types.ToolConfig,
    "safetySettings": list[google.genai.types.SafetySetting],
    "generationConfig": google.genai.types.GenerationConfig,
    "cachedContent": str,
    "serviceTier": google.genai.types.ServiceTier,
}


def gemini_errors(body):
    """Where `body` is not made of the models that Google's SDK sends."""
    return ([] if body.get("contents") else ["$.contents: missing"]) + foreign(GEMINI, body, "$")


def foreign(known, body, at):
    """Where the fields of `body` are not those that are `known`."""
    found = []
    for key, value in body.items():
        if key not in known:
            found.append(f"{at}.{key}: not a field of a request")
            continue
        try:
            adapter(known[key]).validate_json(json.dumps(value))
        except pydantic.ValidationError as error:
            found += [f"{at}.{key}.{'.'.join(map(str, it['loc']))}: {it['msg']}" for it in error.errors()]
    return found


def count_errors(path, body):
    """Where `body` is not a call whose tokens Google counts: all of it, with its model (ai.google.dev/api/tokens)."""
    call = dict(body.get("generateContentRequest") or {})
    found = [f"$.{key}: not a field of a count" for key in body if key != "generateContentRequest"]
    if f"/{call.pop('model', None)}:" not in path:
        found.append("$.generateContentRequest.model: not that of the path")
    return found + gemini_errors(call)


# An EmbedContentRequest (ai.google.dev/api/embeddings).
EMBED = {"model": str, "content": google.genai.types.Content, "taskType": str, "title": str, "outputDimensionality": int}


def embed_errors(path, body):
    """Where `body` is not a batch of at most 100 requests of the path's model."""
    requests = body.get("requests") or []
    found = [] if 1 <= len(requests) <= 100 and list(body) == ["requests"] else ["$.requests: not 1 to 100"]
    for at, request in enumerate(requests):
        if f"/{request.get('model')}:" not in path:
            found.append(f"$.requests[{at}].model: not that of the path")
        found += foreign(EMBED, request, f"$.requests[{at}]")
    return found


@functools.cache
def adapter(kind):
    return pydantic.TypeAdapter(kind)


def mismatches(kind, value, path="$"):
    """Where `value` is not of the type `kind`, made of TypedDicts as the SDKs' are."""
    origin, inner = typing.get_origin(kind), typing.get_args(kind)
    if kind in (typing.Any, object) or isinstance(kind, typing.TypeVar):
        return []
    if origin in (typing.Annotated, typing_extensions.Required, typing_extensions.NotRequired):
        return mismatches(inner[0], value, path)
    if origin in (typing.Union, types.UnionType):
        return closest(inner, value, path)
    if origin is typing.Literal:
        return [] if value in inner else [f"{path}: {value!r} is not one of {inner}"]
    if typing_extensions.is_typeddict(kind):
        return dict_mismatches(kind, value, path)
    if origin in (list, abc.Iterable, abc.Sequence):
        if not isinstance(value, list):
            return [f"{path}: not a list"]
        return [wrong for at, item in enumerate(value) for wrong in mismatches(inner[0], item, f"{path}[{at}]")]
    if origin in (dict, abc.Mapping):
        if not isinstance(value, dict):
            return [f"{path}: not an object"]
        return [wrong for key, item in value.items() for wrong in mismatches(inner[1], item, f"{path}.{key}")]
    accepted = {float: (int, float), int: (int,), str: (str,), bool: (bool,), type(None): (type(None),)}
    is_truth_for_number = isinstance(value, bool) and kind is not bool
    if isinstance(value, accepted.get(origin or kind, ())) and not is_truth_for_number:
        return []
    return [f"{path}: {value!r:.80} is not {getattr(kind, '__name__', kind)}"]


def closest(kinds, value, path):
    """The complaints of the variant that was most likely meant: of this shape, with this tag, nearly right."""

    def weight(found):
        is_other_shape = any(wrong.startswith(f"{path}: ") for wrong in found)
        is_other_tag = any(f"{path}.type:" in wrong or f"{path}.role:" in wrong for wrong in found)
        return (is_other_shape, is_other_tag, len(found))

    return min((mismatches(kind, value, path) for kind in kinds), key=weight)


def dict_mismatches(kind, value, path):
    if not isinstance(value, dict):
        return [f"{path}: not an object"]
    hints = fields(kind)
    found = [f"{path}.{key}: not a field of {kind.__name__}" for key in value.keys() - hints.keys()]
    for key, (hint, required) in hints.items():
        if key in value:
            found += mismatches(hint, value[key], f"{path}.{key}")
        elif required:
            found.append(f"{path}.{key}: missing")
    return found


@functools.cache
def fields(kind):
    """The fields of a TypedDict: each type, and whether it must be there."""
    found = {}
    for base in kind.__dict__.get("__orig_bases__", ()):
        if typing_extensions.is_typeddict(base):
            found |= fields(base)
    for key, hint in typing_extensions.get_type_hints(kind, include_extras=True).items():
        if key not in found or found[key][0] != hint:
            marked = typing.get_origin(hint)
            found[key] = (hint, kind.__total__ if marked is not typing_extensions.Required else True)
    return found

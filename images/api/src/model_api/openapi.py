"""The contract as an OpenAPI 3.1 document, with the shapes and the labels of the model that is served."""

from __future__ import annotations

import urllib.parse
from typing import TYPE_CHECKING, Any

import orjson

from model_api import facts, pictures, schemas
from model_api.schemas import closed, ref
from model_description.description import TASKS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from model_api.config import Config
    from model_api.knowledge import Known

    Schema = dict[str, Any]

TEXT: Schema = {"type": "string"}
NUMBER: Schema = {"type": "number"}
INTEGER: Schema = {"type": "integer"}
OBJECT: Schema = {"type": "object"}
LIST: Schema = {"type": "array"}
# No larger number of classes is read from `?top`.
MAXIMUM_TOP = 999_999
# Addresses of one version, beside those of the newest.
VERSIONS = ("", "/versions/{version}", "/labels/{label}")


def document(known: Known, config: Config) -> dict[str, Any]:
    """Return the OpenAPI 3.1 document of a version.

    For one that cannot be used, /predict is described with the error it answers.
    """
    return {
        "openapi": "3.1.0",
        "info": {
            "title": f"Model {config.model_name}",
            "version": str(known.version),
            "description": f"Version {known.version} of the model {config.model_name}; its task is {known.task}.",
        },
        "tags": [
            {"name": "model", "description": "Ask the model, and about it"},
            {"name": "pages", "description": "For people"},
            {"name": "probes", "description": "For the cluster"},
            {"name": "serving", "description": "TensorFlow Serving's REST API"},
            {"name": "v2", "description": "Open Inference Protocol V2"},
        ],
        "paths": {
            "/predict": {"post": _predict(known, config)},
            "/v1/model": {"get": _get("describeModel", "model", "What is known of the served model", ref("Model"))},
            "/openapi.json": {"get": _get("readDocument", "model", "This document", OBJECT)},
            "/": {"get": _page("tryModel", "A page where the model is tried")},
            "/docs": {"get": _page("readDocs", "This document, to be read")},
            "/livez": {"get": _get("isAlive", "probes", "Answers while the process runs", ref("Status"), fails=())},
            "/readyz": {
                "get": _get("isReady", "probes", "Answers 200 while the model can be asked", ref("Status"), ("503",))
            },
            **_serving_paths(config),
            **_v2_paths(config),
        },
        "components": {
            "schemas": _schemas(known, config),
            "headers": {
                "RequestId": {"description": "The caller's X-Request-Id, or a new one", "schema": TEXT},
                "ModelVersion": {"description": "The version that answered", "schema": INTEGER},
                "RetryAfter": {"description": "Seconds to wait before asking again", "schema": INTEGER},
            },
            "responses": _errors(known, config),
        },
    }


def _schemas(known: Known, config: Config) -> dict[str, Schema]:
    return {
        "Error": {"type": "object", "properties": {"error": TEXT, "request_id": TEXT}, "required": ["error"]},
        "Status": closed({"status": TEXT}),
        "Model": _model(),
        **_serving_schemas(),
        **_v2_schemas(),
        **(schemas.of(known, config) if known.signature is not None else {}),
    }


# ---- /predict


def _predict(known: Known, config: Config) -> dict[str, Any]:
    operation: dict[str, Any] = {"operationId": "predict", "tags": ["model"]}
    if known.signature is None:
        return operation | {
            "summary": "The model cannot be used",
            "description": known.problem,
            "requestBody": {"required": True, "content": _json(OBJECT)},
            "responses": _fails("500", "503"),
        }
    # A raw answer holds numpy's arrays.
    found = orjson.loads(orjson.dumps(facts.example_of(known) or {}, option=orjson.OPT_SERIALIZE_NUMPY))
    request, reply = found.get("request"), found.get("response")
    operation |= {"parameters": [_top_parameter()]} if known.task == "classification" else {}
    return operation | {
        "summary": f"Ask the model about one input or up to {config.max_inputs_per_request}",
        "requestBody": {"required": True, "content": _json(ref("Request"), request) | _picture_content(known)},
        "responses": {
            "200": _answer(f"The answer of the task {known.task}, or several in order", _json(ref("Reply"), reply)),
            **_fails("400", "413", "415", "422", "500", "503", "504"),
        },
    }


def _top_parameter() -> dict[str, Any]:
    return {
        "name": "top",
        "in": "query",
        "description": "How many of the likeliest classes are listed too",
        "schema": {"type": "integer", "minimum": 0, "maximum": MAXIMUM_TOP, "default": 0},
    }


def _picture_content(known: Known) -> dict[str, Any]:
    """Return the other bodies of /predict, where the model takes a picture as it is."""
    if not pictures.takes_pictures(known.served, known.told.inputs):
        return {}
    file = {"type": "string", "contentMediaType": "application/octet-stream", "description": "A PNG or a JPEG"}
    form = {"type": "object", "properties": {"file": file}, "required": ["file"]}
    form_content = {"schema": form, "encoding": {"file": {"contentType": "image/png, image/jpeg"}}}
    return {"image/png": {}, "image/jpeg": {}, "multipart/form-data": form_content}


def _errors(known: Known, config: Config) -> dict[str, Any]:
    """Return every response that is an error by its status."""
    words = {
        "400": "The body is not JSON",
        "404": "There is no such model or version",
        "413": f"The body is larger than {config.max_body_bytes} bytes",
        "415": "The body is of a kind that the model does not take",
        "422": "The body is not what the model takes; says what was expected and where",
        "500": known.problem or "The model fails, or its answer does not fit its task; asking again does not help",
        "503": "No server answers, or too many requests wait; asking again helps where Retry-After says so",
        "504": f"No answer within {config.request_timeout_seconds:g} s",
    }
    found = {status: _answer(text, _json(ref("Error"))) for status, text in words.items()}
    found["503"]["headers"]["Retry-After"] = {"$ref": "#/components/headers/RetryAfter"}
    return found


def _fails(*statuses: str) -> dict[str, Any]:
    return {status: {"$ref": f"#/components/responses/{status}"} for status in statuses}


def _answer(description: str, content: dict[str, Any]) -> dict[str, Any]:
    headers = {
        "X-Request-Id": {"$ref": "#/components/headers/RequestId"},
        "X-Model-Version": {"$ref": "#/components/headers/ModelVersion"},
    }
    return {"description": description, "headers": headers, "content": content}


def _json(schema: Schema, example: Any = None) -> dict[str, Any]:
    return {"application/json": {"schema": schema} | ({} if example is None else {"example": example})}


# ---- what is read


def _get(
    name: str, tag: str, summary: str, schema: Schema, fails: Iterable[str] = ("500", "503", "504")
) -> dict[str, Any]:
    responses = {"200": _answer(summary, _json(schema)), **_fails(*fails)}
    return {"operationId": name, "tags": [tag], "summary": summary, "responses": responses}


def _page(name: str, summary: str) -> dict[str, Any]:
    responses = {"200": _answer(summary, {"text/html; charset=utf-8": {"schema": TEXT}})}
    return {"operationId": name, "tags": ["pages"], "summary": summary, "responses": responses}


def _model() -> Schema:
    """Return the schema of /v1/model."""
    tensor = {"dtype": TEXT, "shape": {"type": ["array", "null"], "items": {"type": ["integer", "null"]}}}
    bound = {"type": ["number", "null"]}
    told = {"meaning": TEXT, "minimum": bound, "maximum": bound, "help": TEXT}
    example = closed({"request": OBJECT, "response": OBJECT})
    return closed(
        {
            "name": TEXT,
            "version": INTEGER,
            "problem": TEXT | {"description": "Why /predict cannot be used; empty where it can"},
            "signature": {"type": ["string", "null"]},
            "task": {"type": "string", "enum": list(TASKS)},
            "labels": {"type": "array", "items": TEXT},
            "inputs": _each(closed(tensor | told, frozenset(told))),
            "outputs": _each(closed(tensor)),
            "metrics": _each(NUMBER),
            "parameters": OBJECT,
            "data": _each(TEXT),
            "key": TEXT,
            "weights_sha256": TEXT,
            "created": TEXT,
            "example": {"anyOf": [example, {"type": "null"}]},
        }
    )


def _each(schema: Schema) -> Schema:
    return {"type": "object", "additionalProperties": schema}


# ---- TensorFlow Serving's REST


def _serving_paths(config: Config) -> dict[str, Any]:
    """Return the paths of /v1/models for the newest version, for one by number, and for one by label."""
    base = f"/v1/models/{urllib.parse.quote(config.model_name, safe='')}"
    paths: dict[str, Any] = {}
    for place in VERSIONS:
        path, suffix, parameters = base + place, _suffix(place), _parameters(place)
        reads = (("", "Status", "The states of the model's versions"), ("/metadata", "Metadata", "The signatures"))
        for end, what, summary in reads:
            operation = _get(f"serving{what}{suffix}", "serving", summary, OBJECT, ("400", "404", "500", "503", "504"))
            paths[path + end] = {"get": operation} | parameters
        for action, schema in (("predict", "Serving"), ("classify", "Examples"), ("regress", "Examples")):
            answer = "ServingPredictReply" if action == "predict" else "ExamplesReply"
            operation = _post(f"serving{action.title()}{suffix}", "serving", f"Call {action}", schema, answer)
            paths[f"{path}:{action}"] = {"post": operation} | parameters
    return paths


def _suffix(place: str) -> str:
    return {"": "", VERSIONS[1]: "OfVersion", VERSIONS[2]: "OfLabel"}[place]


def _parameters(place: str) -> dict[str, Any]:
    """Return the parameters in a part of a path."""
    named = {
        "version": {"type": "integer", "minimum": 1, "maximum": 2**63 - 1},
        "label": {"type": "string", "minLength": 1},
    }
    found = [
        {"name": name, "in": "path", "required": True, "schema": schema}
        for name, schema in named.items()
        if f"{{{name}}}" in place
    ]
    return {"parameters": found} if found else {}


def _post(name: str, tag: str, summary: str, schema: str, answer: str) -> dict[str, Any]:
    return {
        "operationId": name,
        "tags": [tag],
        "summary": summary,
        "requestBody": {"required": True, "content": _json(ref(schema))},
        "responses": {
            "200": _answer("The answer", _json(ref(answer))),
            **_fails("400", "404", "413", "415", "422", "500", "503", "504"),
        },
    }


def _serving_schemas() -> dict[str, Schema]:
    context = {"signature_name": TEXT}
    return {
        "Serving": {
            "description": "Rows (`instances`), or the tensors as they are (`inputs`)",
            "type": "object",
            "properties": context | {"instances": LIST | {"minItems": 1}, "inputs": {}},
            "oneOf": [{"required": ["instances"]}, {"required": ["inputs"]}],
        },
        "ServingPredictReply": {
            "type": "object",
            "properties": {"predictions": LIST, "outputs": {}},
            "oneOf": [{"required": ["predictions"]}, {"required": ["outputs"]}],
        },
        "Examples": {
            "type": "object",
            "properties": context | {"context": OBJECT, "examples": {"type": "array", "items": OBJECT, "minItems": 1}},
            "required": ["examples"],
        },
        "ExamplesReply": {"type": "object", "properties": {"results": LIST}, "required": ["results"]},
    }


# ---- Open Inference Protocol V2


def _v2_paths(config: Config) -> dict[str, Any]:
    base = f"/v2/models/{urllib.parse.quote(config.model_name, safe='')}"
    paths: dict[str, Any] = {
        "/v2": {"get": _get("v2Server", "v2", "Name, version and extensions of the server", ref("V2Server"), ())},
        "/v2/health/live": {"get": _get("v2Live", "v2", "Answers while the process runs", OBJECT, ())},
        "/v2/health/ready": {
            "get": _get("v2Ready", "v2", "Answers 200 while the model can be asked", OBJECT, ("503",))
        },
    }
    fails = ("400", "404", "500", "503", "504")
    for place in VERSIONS[:2]:
        path, suffix, parameters = base + place, _suffix(place), _parameters(place)
        metadata = _get(f"v2Model{suffix}", "v2", "The model's inputs and outputs", ref("V2Model"), fails)
        ready = _get(f"v2ModelReady{suffix}", "v2", "Answers 200 while the model can be asked", OBJECT, fails)
        infer = _post(f"v2Infer{suffix}", "v2", "Call the model with tensors", "V2Request", "V2Reply")
        paths[path] = {"get": metadata} | parameters
        paths[f"{path}/ready"] = {"get": ready} | parameters
        paths[f"{path}/infer"] = {"post": infer} | parameters
    return paths


def _v2_schemas() -> dict[str, Schema]:
    size = {"type": "integer", "minimum": 0}
    head = {"name": TEXT, "datatype": TEXT, "shape": {"type": "array", "items": size}}
    parameters = {"parameters": OBJECT}
    tensor = {
        "type": "object",
        "properties": head | parameters | {"data": LIST},
        "required": ["datatype", "name", "shape"],
    }
    asked = {"type": "object", "properties": {"name": TEXT} | parameters, "required": ["name"]}
    described = {
        "type": "object",
        "properties": head | {"shape": {"type": "array", "items": INTEGER}},
        "required": ["datatype", "name", "shape"],
    }
    return {
        "V2Server": {
            "type": "object",
            "properties": {"name": TEXT, "version": TEXT, "extensions": {"type": "array", "items": TEXT}},
            "required": ["name", "version"],
        },
        "V2Model": {
            "type": "object",
            "properties": {
                "name": TEXT,
                "versions": {"type": "array", "items": TEXT},
                "platform": TEXT,
                "inputs": {"type": "array", "items": described},
                "outputs": {"type": "array", "items": described},
            },
            "required": ["inputs", "name", "outputs", "platform"],
        },
        "V2Request": {
            "type": "object",
            "properties": {"id": TEXT, "inputs": {"type": "array", "items": tensor, "minItems": 1}}
            | parameters
            | {"outputs": {"type": "array", "items": asked}},
            "required": ["inputs"],
        },
        "V2Reply": {
            "type": "object",
            "properties": {
                "id": TEXT,
                "model_name": TEXT,
                "model_version": TEXT,
                "outputs": {"type": "array", "items": tensor},
            },
            "required": ["model_name", "outputs"],
        },
    }

"""The contract as an OpenAPI document, with the shapes of the model that is served."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from model_api.config import Config
    from model_api.model import Model


def document(model: Model, config: Config) -> dict[str, Any]:
    """Return the OpenAPI 3.1 document."""
    return {
        "openapi": "3.1.0",
        "info": {"title": f"Model {model.name}", "version": str(model.version)},
        "paths": {
            "/predict": {"post": _predict(config)},
            "/v1/model": {"get": _get("Name, version, key, digest, metrics and input of the served model", "Model")},
            "/livez": {"get": _get("Answers while the process runs", "Status", unavailable=False)},
            "/readyz": {"get": _get("Answers 200 while a server predicts", "Status")},
            "/openapi.json": {"get": _get("This document", "Document")},
        },
        "components": {"schemas": _schemas(model, config)},
    }


def _predict(config: Config) -> dict[str, Any]:
    errors = {
        "400": "The body is not JSON",
        "413": f"The body is larger than {config.max_body_bytes} bytes",
        "422": "The body is not what the model takes; says what was expected and where",
        "503": "No server answers, or too many requests wait; see Retry-After",
        "504": f"No answer within {config.request_timeout_seconds:g} s",
    }
    return {
        "summary": "Classify one image or several",
        "requestBody": {"required": True, "content": _json("Request")},
        "responses": {
            "200": {"description": "The most probable class of each image", "content": _json("Answer")},
            **{code: {"description": text, "content": _json("Error")} for code, text in errors.items()},
        },
    }


def _get(summary: str, schema: str, *, unavailable: bool = True) -> dict[str, Any]:
    responses = {"200": {"description": summary, "content": _json(schema)}}
    if unavailable:
        responses["503"] = {"description": "No server answers", "content": _json("Error")}
    return {"summary": summary, "responses": responses}


def _json(schema: str) -> dict[str, Any]:
    return {"application/json": {"schema": {"$ref": f"#/components/schemas/{schema}"}}}


def _schemas(model: Model, config: Config) -> dict[str, Any]:
    signature = model.signature
    flat = _list({"type": "number"}, signature.size, signature.size)
    nested: dict[str, Any] = {"type": "number"}
    for size in reversed(signature.shape):
        nested = _list(nested, size, size)
    image = flat if len(signature.shape) == 1 else {"oneOf": [flat, nested]}
    prediction = _object(
        {"prediction": {"type": "string"}, "probability": {"type": "string", "pattern": r"^[01]\.\d{4}$"}}
    )
    return {
        "Image": image,
        "Prediction": prediction,
        "Request": {
            "oneOf": [
                _object({"input": _reference("Image")}),
                _object({"inputs": _list(_reference("Image"), 1, config.max_images_per_request)}),
            ]
        },
        "Answer": {"oneOf": [_reference("Prediction"), _object({"predictions": _list(_reference("Prediction"), 1)})]},
        "Error": _object({"error": {"type": "string"}}),
        "Status": _object({"status": {"type": "string"}}),
        "Model": _object({"name": {"type": "string"}, "version": {"type": "integer"}}),
        "Document": {"type": "object"},
    }


def _reference(schema: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{schema}"}


def _list(items: dict[str, Any], fewest: int, most: int | None = None) -> dict[str, Any]:
    limits = {"minItems": fewest} if most is None else {"minItems": fewest, "maxItems": most}
    return {"type": "array", "items": items, **limits}


def _object(properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": sorted(properties)}

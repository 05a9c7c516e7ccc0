"""TensorFlow Serving's JSON rules done slowly: one character, one value at a time, nothing shared with the server.

Rules: RapidJSON with kParseNanAndInfFlag and kParseStopWhenDoneFlag, and util/json_tensor.cc.
"""

from __future__ import annotations

import itertools
import math
import re
from typing import Any

import numpy as np

from model_description.protos import serving_pb2

NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?")
CONSTANTS = {"NaN": math.nan, "-NaN": math.nan, "Infinity": math.inf, "Inf": math.inf}
CONSTANTS |= {"-Infinity": -math.inf, "-Inf": -math.inf}
ESCAPES = {'"': '"', "\\": "\\", "/": "/", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}
INT32 = (-(2**31), 2**31 - 1)
RANGES: dict[int, tuple[int, int]] = {
    serving_pb2.DT_INT32: INT32,
    serving_pb2.DT_UINT8: INT32,
    serving_pb2.DT_INT64: (-(2**63), 2**63 - 1),
    serving_pb2.DT_UINT32: (0, 2**32 - 1),
}
DTYPES: dict[int, Any] = {
    serving_pb2.DT_FLOAT: np.float32,
    serving_pb2.DT_DOUBLE: np.float64,
    serving_pb2.DT_BOOL: np.bool_,
    serving_pb2.DT_STRING: object,
    serving_pb2.DT_INT32: np.int32,
    serving_pb2.DT_UINT8: np.uint8,
    serving_pb2.DT_INT64: np.int64,
    serving_pb2.DT_UINT32: np.uint32,
}


class RefusedError(Exception):
    """Upstream would answer with an error."""


def parse(text: str) -> Any:
    """Return the first document of a text."""
    value, _ = _value(text, _space(text, 0))
    return value


def _space(text: str, at: int) -> int:
    while at < len(text) and text[at] in " \t\r\n":
        at += 1
    return at


def _value(text: str, at: int) -> tuple[Any, int]:
    if text[at : at + 1] == "{":
        return _object(text, at + 1)
    if text[at : at + 1] == "[":
        return _array(text, at + 1)
    if text[at : at + 1] == '"':
        return _string(text, at + 1)
    for name, value in {"null": None, "true": True, "false": False}.items():
        if text.startswith(name, at):
            return value, at + len(name)
    for name in sorted(CONSTANTS, key=len, reverse=True):
        if text.startswith(name, at):
            return CONSTANTS[name], at + len(name)
    found = NUMBER.match(text, at)
    if found is None:
        raise RefusedError
    return _number(found), found.end()


def _number(found: re.Match[str]) -> int | float:
    if not found[2] and not found[3] and -(2**63) <= int(found[0]) < 2**64:
        return int(found[0])
    number = float(found[0])
    if math.isinf(number):
        raise RefusedError
    return number


def _object(text: str, at: int) -> tuple[dict[str, Any], int]:
    members: dict[str, Any] = {}
    at = _space(text, at)
    if text[at : at + 1] == "}":
        return members, at + 1
    while True:
        if text[at : at + 1] != '"':
            raise RefusedError
        name, at = _string(text, at + 1)
        at = _space(text, at)
        if text[at : at + 1] != ":":
            raise RefusedError
        value, at = _value(text, _space(text, at + 1))
        if name not in members:
            members[name] = value
        at = _space(text, at)
        if text[at : at + 1] == "}":
            return members, at + 1
        if text[at : at + 1] != ",":
            raise RefusedError
        at = _space(text, at + 1)


def _array(text: str, at: int) -> tuple[list[Any], int]:
    items: list[Any] = []
    at = _space(text, at)
    if text[at : at + 1] == "]":
        return items, at + 1
    while True:
        item, at = _value(text, at)
        items.append(item)
        at = _space(text, at)
        if text[at : at + 1] == "]":
            return items, at + 1
        if text[at : at + 1] != ",":
            raise RefusedError
        at = _space(text, at + 1)


def _string(text: str, at: int) -> tuple[str, int]:
    found = ""
    while at < len(text) and text[at] != '"':
        if text[at] < " ":
            raise RefusedError
        if text[at] != "\\":
            found, at = found + text[at], at + 1
        elif text[at + 1 : at + 2] in ESCAPES and at + 1 < len(text):
            found, at = found + ESCAPES[text[at + 1]], at + 2
        elif re.fullmatch("u[0-9a-fA-F]{4}", text[at + 1 : at + 6]):
            character, at = _unicode(text, at)
            found += character
        else:
            raise RefusedError
    if at >= len(text):
        raise RefusedError
    return found, at + 1


def _unicode(text: str, at: int) -> tuple[str, int]:
    unit = int(text[at + 2 : at + 6], 16)
    if not 0xD800 <= unit < 0xE000:
        return chr(unit), at + 6
    if unit >= 0xDC00 or not re.fullmatch(r"\\u[dD][c-fC-F][0-9a-fA-F]{2}", text[at + 6 : at + 12]):
        raise RefusedError
    return chr(0x10000 + ((unit - 0xD800) << 10) + int(text[at + 8 : at + 12], 16) - 0xDC00), at + 12


def tensor(value: Any, dtype: int) -> np.ndarray[Any, Any]:
    """Return nested lists as a tensor."""
    shape = []
    first = value
    while isinstance(first, list):
        shape.append(len(first))
        first = first[0] if first else None
    _check(value, shape)
    made: np.ndarray[Any, Any] = np.empty(shape, DTYPES[dtype])
    for index in np.ndindex(*shape):
        item = value
        for position in index:
            item = item[position]
        made[index] = scalar(item, dtype)
    return made


def _check(value: Any, shape: list[int]) -> None:
    if not shape:
        if isinstance(value, list):
            raise RefusedError
        return
    if not isinstance(value, list) or len(value) != shape[0]:
        raise RefusedError
    for item in value:
        _check(item, shape[1:])


def scalar(value: Any, dtype: int) -> Any:
    """Return one value as its dtype has it."""
    if dtype == serving_pb2.DT_STRING:
        return _bytes(value)
    if dtype == serving_pb2.DT_BOOL:
        if not isinstance(value, bool):
            raise RefusedError
        return value
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise RefusedError
    if dtype in RANGES:
        low, high = RANGES[dtype]
        if isinstance(value, float) or not low <= value <= high:
            raise RefusedError
        return np.array(value).astype(DTYPES[dtype])
    with np.errstate(over="ignore"):
        return np.float64(value).astype(DTYPES[dtype])


def _bytes(value: Any) -> bytes:
    if isinstance(value, str):
        return value.encode()
    if not isinstance(value, dict) or list(value) != ["b64"] or not isinstance(value["b64"], str):
        raise RefusedError
    return base64(value["b64"])


def base64(text: str) -> bytes:
    """Return what absl::Base64Unescape does, bit by bit."""
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    marks = [mark for mark in text if mark not in " \t\n\v\f\r"]
    data = list(itertools.takewhile(lambda mark: mark not in "=.", marks))
    padding = marks[len(data) :]
    if set(data) - set(alphabet) or set(padding) - set("=.") or len(data) % 4 == 1:
        raise RefusedError
    if padding and len(padding) != -len(data) % 4:
        raise RefusedError
    bits = "".join(f"{alphabet.index(mark):06b}" for mark in data)
    return bytes(int(bits[at : at + 8], 2) for at in range(0, len(bits) - 7, 8))


def read(text: str, dtype: int) -> tuple[np.ndarray[Any, Any], bool]:
    """Return the tensor of a request to a signature with the one input x, and whether it is in row form."""
    document = parse(text)
    if not isinstance(document, dict) or ("instances" in document) == ("inputs" in document):
        raise RefusedError
    if "inputs" in document:
        value = document["inputs"]
        if isinstance(value, dict) and list(value) != ["b64"]:
            if "x" not in value:
                raise RefusedError
            value = value["x"]
        return tensor(value, dtype), False
    return _stacked([tensor(row, dtype) for row in _rows(document["instances"])], dtype), True


def _rows(rows: Any) -> list[Any]:
    if not isinstance(rows, list) or not rows:
        raise RefusedError
    is_named = [isinstance(row, dict) and list(row) != ["b64"] for row in rows]
    if not any(is_named):
        return rows
    if not is_named[0] or any(not isinstance(row, dict) or list(row) != ["x"] for row in rows):
        raise RefusedError
    return [row["x"] for row in rows]


def _stacked(rows: list[np.ndarray[Any, Any]], dtype: int) -> np.ndarray[Any, Any]:
    if any(row.shape != rows[0].shape for row in rows):
        raise RefusedError
    stacked: np.ndarray[Any, Any] = np.empty((len(rows), *rows[0].shape), DTYPES[dtype])
    for position, row in enumerate(rows):
        stacked[position] = row
    return stacked

"""Strict JSON parsing: every error has the location of the value."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any, NoReturn, TypeVar

from eci_convert.errors import FormatError, LimitExceededError

MAX_DOCUMENT = 4 * 1024 * 1024
"""The size limit in bytes of a manifest, index or config (distribution-spec v1.1.1, "Pushing Manifests": at least 4
MiB)."""

_MAX_DEPTH = 64

T = TypeVar("T")
Fields = Mapping[str, Any]


def document(content: bytes, where: str) -> Fields:
    """The JSON object *content*.

    Raises LimitExceededError over 4 MiB or 64 levels, and FormatError for anything that JSON (RFC 8259) does not allow
    or that parsers may interpret differently: duplicate keys, NaN, lone surrogates, a byte order mark, huge numbers.
    """
    return typed(_value(content, where), dict, where)


def array(content: bytes, where: str) -> list[Any]:
    """The JSON array *content*. Raises as `document`."""
    return typed(_value(content, where), list, where)


def required(data: Fields, key: str, kind: type[T], where: str) -> T:
    """The value of *key*, which must exist and be of type *kind*. Raises FormatError located at `where.key`."""
    if key not in data:
        raise FormatError("missing", where=f"{where}.{key}")
    return typed(data[key], kind, f"{where}.{key}")


def optional(data: Fields, key: str, kind: type[T], where: str, default: T) -> T:
    """The value of *key*, or *default* if it is missing or null. Raises FormatError if it is of another type."""
    value = data.get(key)
    return default if value is None else typed(value, kind, f"{where}.{key}")


def strings(data: Fields, key: str, where: str) -> dict[str, str]:
    """The map of strings at *key*, empty if it is missing or null; null values are empty strings, as with Go.

    >>> strings({"Labels": {"a": "b", "maintainer": None}}, "Labels", "config")
    {'a': 'b', 'maintainer': ''}
    """
    return {
        name: "" if value is None else typed(value, str, f"{where}.{key}[{name!r}]")
        for name, value in optional(data, key, dict, where, {}).items()
    }


def typed(value: object, kind: type[T], where: str) -> T:
    """*value*, if it is of type *kind*; a bool is not an int. Raises FormatError."""
    if isinstance(value, bool) and kind is not bool:
        raise FormatError(f"expected {_KINDS.get(kind, kind.__name__)}, not bool", where=where)
    if not isinstance(value, kind):
        raise FormatError(f"expected {_KINDS.get(kind, kind.__name__)}, not {_named(value)}", where=where)
    return value


_KINDS: dict[type, str] = {dict: "object", list: "array", str: "string", int: "int"}


def _value(content: bytes, where: str) -> object:
    if len(content) > MAX_DOCUMENT:
        raise LimitExceededError(f"document is {len(content)} bytes (limit {MAX_DOCUMENT})", where=where)
    _check_depth(content, where)
    try:
        value: object = json.loads(
            content.decode("utf-8"),
            object_pairs_hook=_object,
            parse_constant=_constant,
            parse_int=_integer,
            parse_float=_finite,
        )
        json.dumps(value, ensure_ascii=False).encode("utf-8")
    except (ValueError, RecursionError) as error:
        raise FormatError(f"not a JSON document: {_first_line(error)}", where=where) from error
    return value


def _named(value: object) -> str:
    return "null" if value is None else _KINDS.get(type(value), type(value).__name__)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) != len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise ValueError(f"duplicate key {key!r} in an object")
            seen.add(key)
    return fields


def _constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON number")


def _integer(digits: str) -> int:
    if len(digits) > 20:
        raise ValueError(f"a number of {len(digits)} digits")
    return int(digits)


def _finite(digits: str) -> float:
    value = float(digits)
    if math.isinf(value):
        raise ValueError(f"{digits[:20]!r} is too large for a number")
    return value


def _check_depth(content: bytes, where: str) -> None:
    depth = deepest = 0
    in_string = escaped = False
    if content.count(b"[") + content.count(b"{") <= _MAX_DEPTH:
        return
    for byte in content:
        if in_string:
            if escaped:
                escaped = False
            elif byte == 0x5C:
                escaped = True
            elif byte == 0x22:
                in_string = False
        elif byte == 0x22:
            in_string = True
        elif byte in b"[{":
            depth += 1
            deepest = max(deepest, depth)
        elif byte in b"]}":
            depth -= 1
    if deepest > _MAX_DEPTH:
        raise LimitExceededError(f"nested {deepest} levels deep (limit {_MAX_DEPTH})", where=where)


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0] or type(error).__name__

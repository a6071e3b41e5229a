"""Canonical JSON: one text for one value (RFC 8785, JSON Canonicalization Scheme)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

_MAX_EXACT = (1 << 53) - 1


def canonical(value: object) -> bytes:
    """The canonical text of *value*: keys in the order of their UTF-16 units, numbers as ECMAScript writes them.

    An integer that a double does not hold exactly is written as the double next to it, as Go and JavaScript do.
    Raises ValueError for what JSON cannot express.

    >>> canonical({"b": [1.0, 1e-7, None], "a": "ä\\n<", "c": 2**64}).decode()
    '{"a":"ä\\\\n<","b":[1,1e-7,null],"c":18446744073709552000}'
    """
    import rfc8785

    try:
        return rfc8785.dumps(_with_doubles(value))
    except ValueError as error:
        raise ValueError(f"not expressible in JSON: {error}") from error


def _with_doubles(value: Any) -> Any:
    match value:
        case bool() | str() | None:
            return value
        case int():
            return value if abs(value) <= _MAX_EXACT else float(value)
        case Mapping():
            return {str(key): _with_doubles(element) for key, element in value.items()}
        case Sequence():
            return [_with_doubles(element) for element in value]
        case _:
            return value

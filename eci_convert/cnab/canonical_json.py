"""Canonical JSON: one text for one value (RFC 8785, JSON Canonicalization Scheme)."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from decimal import Decimal

_EXACT = 1 << 53


def canonical(value: object) -> bytes:
    """The canonical text of *value*: keys in the order of their UTF-16 units, numbers as ECMAScript writes them.

    Raises ValueError for what JSON has no word for.

    >>> canonical({"b": [1.0, 1e-7, None], "a": "ä\\n<"}).decode()
    '{"a":"ä\\\\n<","b":[1,1e-7,null]}'
    """
    return _text(value).encode()


def _text(value: object) -> str:
    match value:
        case None | bool() | str():
            return json.dumps(value, ensure_ascii=False)
        case int():
            return str(value) if abs(value) <= _EXACT else _number(float(value))
        case float():
            return _number(value)
        case Mapping():
            keys = sorted(value, key=lambda key: str(key).encode("utf-16-be"))
            return "{" + ",".join(f"{_text(str(key))}:{_text(value[key])}" for key in keys) + "}"
        case Sequence():
            return "[" + ",".join(map(_text, value)) + "]"
        case _:
            raise ValueError(f"{type(value).__name__} is nothing that JSON can say")


def _number(value: float) -> str:
    """*value* as ECMA-262, "Number::toString", has it: the fewest digits that tell it from its neighbours."""
    if not math.isfinite(value):
        raise ValueError(f"{value} is no number to JSON")
    if value == 0:
        return "0"
    sign, figures, exponent = Decimal(repr(value)).normalize().as_tuple()
    digits, point = "".join(map(str, figures)), len(figures) + int(exponent)
    minus = "-" if sign else ""
    if 0 < point <= 21:
        whole = digits[:point].ljust(point, "0")
        return minus + whole + (f".{digits[point:]}" if len(digits) > point else "")
    if -6 < point <= 0:
        return f"{minus}0.{'0' * -point}{digits}"
    fraction = f".{digits[1:]}" if len(digits) > 1 else ""
    return f"{minus}{digits[0]}{fraction}e{point - 1:+d}"

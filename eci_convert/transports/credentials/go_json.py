"""JSON as Go programs read it (encoding/json, `Decoder.Decode` into a struct)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

_WHITESPACE = " \t\r\n"


def decode_json(content: bytes) -> Any:
    """The first value in *content*; trailing data is ignored, and invalid UTF-8 becomes U+FFFD.

    Raises ValueError, RecursionError.
    """
    text = content.decode(json.detect_encoding(content), errors="replace").lstrip(_WHITESPACE)
    return json.JSONDecoder().raw_decode(text)[0]


def member(value: Mapping[str, Any], name: str) -> Any:
    """The value of the key *name*, compared case-insensitively: the last one that is not null, or None. Objects are
    merged."""
    result: Any = None
    for key, item in value.items():
        if item is None or key.casefold() != name.casefold():
            continue
        result = {**result, **item} if isinstance(result, dict) and isinstance(item, dict) else item
    return result


def members(value: object) -> Mapping[str, Any]:
    """*value* if it is an object, else an empty one."""
    return value if isinstance(value, dict) else {}

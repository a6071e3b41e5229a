"""JSON documents of Go programs, read as they read them (encoding/json, `Decoder.Decode` into a struct)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

_BLANKS = " \t\r\n"


def decoded(content: bytes) -> Any:
    """The first value in *content*; what comes behind it is not looked at, and bytes that are no text are U+FFFD.

    Raises ValueError, RecursionError.
    """
    text = content.decode(json.detect_encoding(content), errors="replace").lstrip(_BLANKS)
    return json.JSONDecoder().raw_decode(text)[0]


def member(value: Mapping[str, Any], name: str) -> Any:
    """The member *name* of an object, in whatever case it is spelt: the last that is not null, or None. Of objects,
    the members of all."""
    found: Any = None
    for key, one in value.items():
        if one is None or key.casefold() != name.casefold():
            continue
        found = {**found, **one} if isinstance(found, dict) and isinstance(one, dict) else one
    return found


def members(value: object) -> Mapping[str, Any]:
    """*value*, if it is an object; else an empty one."""
    return value if isinstance(value, dict) else {}

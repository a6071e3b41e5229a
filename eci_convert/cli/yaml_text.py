"""JSON values as YAML text for people. Scalars are written as JSON writes them, which YAML 1.2 reads, but for
characters above U+FFFF: JSON escapes them as two surrogates, which kubectl's parser refuses, YAML as one
(YAML 1.2.2, section 5.7)."""

from __future__ import annotations

import json
import re
from typing import Any

_PLAIN = re.compile(r"[A-Za-z/][A-Za-z0-9_./-]*", re.ASCII)
_NOT_TEXT = frozenset({"true", "false", "yes", "no", "on", "off", "null", "y", "n"})


def yaml_text(value: dict[str, Any]) -> str:
    """*value* as a YAML document.

    >>> print(yaml_text({"a": {"b": [1, {"c": "x y", "d": {}}]}}))
    a:
      b:
      - 1
      - c: "x y"
        d: {}
    """
    return "\n".join(_lines(value))


def _lines(value: dict[str, Any] | list[Any]) -> list[str]:
    if isinstance(value, list):
        return [line for item in value for line in _item(item)]
    lines: list[str] = []
    for key, inner in value.items():
        if isinstance(inner, dict | list) and inner:
            indent = "  " if isinstance(inner, dict) else ""
            lines += [f"{_scalar(key)}:", *(indent + line for line in _lines(inner))]
        else:
            lines.append(f"{_scalar(key)}: {_scalar(inner)}")
    return lines


def _item(value: Any) -> list[str]:
    if isinstance(value, dict | list) and value:
        first, *rest = _lines(value)
        return [f"- {first}", *(f"  {line}" for line in rest)]
    return [f"- {_scalar(value)}"]


def _scalar(value: Any) -> str:
    if isinstance(value, str) and _PLAIN.fullmatch(value) and value.lower() not in _NOT_TEXT:
        return value
    if isinstance(value, str):
        return '"' + "".join(map(_escaped, value)) + '"'
    return json.dumps(value)


def _escaped(character: str) -> str:
    return f"\\U{ord(character):08x}" if character > "\uffff" else json.dumps(character)[1:-1]

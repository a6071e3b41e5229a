"""Quotes words of a Dockerfile for the classic builder and for BuildKit.

A word in the JSON form of COPY is read three times: as JSON, then by a shell-like lexer (backslashes, quotes, `$`), and
if it is a source as a pattern (`*`, `?`, `[`). Each reading is undone here, the last one first. A value of LABEL stands
in double quotes and is read by the lexer alone (moby/buildkit, frontend/dockerfile: shell/lex.go, parser).
"""

from __future__ import annotations

import json
import re
import unicodedata

from eci_convert.errors import UsageError

_SPECIAL = re.compile("[*?\\[\\\\<\ufeff]|^!|^\\s|\\s$")
_SPECIAL_BESIDE = re.compile(f"{_SPECIAL.pattern}|[+(){{}}|^]")
"""Where a path is a pattern, BuildKit also makes a regular expression of it, and leaves these as they are."""
_ESCAPED = frozenset("*?[\\+(){}|^")
_LEXER = re.compile(r"([\\'\"$])")
_QUOTED = re.compile(r"([\\\"$])")
_HIDDEN = frozenset("<>&#")
_PLAIN = re.compile(r"[A-Za-z0-9_./-]+", re.ASCII)


def source(path: str) -> str:
    """The word for the file *path* of the context.

    A special character becomes a class of its own. A backslash would mean one thing to a builder where the path holds a
    pattern and another where it does not; a class makes it a pattern everywhere. Classes also hide what looks like a
    here-document, an exclusion, white space to be trimmed, or a byte order mark, which the lexer drops.

    >>> print(source("boot/vmlinuz"), source("a*b"))
    "boot/vmlinuz" "a[\\\\\\\\*]b"
    """
    special = _SPECIAL_BESIDE if _SPECIAL.search(path) else _SPECIAL
    return _json(_LEXER.sub(r"\\\1", special.sub(_class, path)))


def destination(path: str) -> str:
    """The word for the file *path* of the image.

    >>> print(destination("/disk-root-$HOME"))
    "/disk-root-\\\\$HOME"
    """
    return _json(_LEXER.sub(r"\\\1", path))


def quoted_label(key: str, value: str) -> str:
    """What follows LABEL. Raises UsageError for what a Dockerfile cannot say: control characters, an odd key.

    >>> print(quoted_label("org.lfedge.eci.artifact.kernel", "/kernel"))
    org.lfedge.eci.artifact.kernel="/kernel"
    """
    if not key or "=" in key:
        raise UsageError(f"{key!r} is no key of a label")
    check_text(key, "the key of a label")
    check_text(value, f"the label {key!r}")
    name = key if _PLAIN.fullmatch(key) else f'"{_quoted(key)}"'
    return f'{name}="{_quoted(value)}"'


def check_text(text: str, what: str) -> None:
    """Raises UsageError if *text* holds what no Dockerfile can: a newline would begin another instruction."""
    if any(unicodedata.category(character) in ("Cc", "Cs") for character in text):
        error = UsageError(f"{what} holds a control character, which a Dockerfile cannot say: {text!r}")
        error.add_note("hint: `eci-convert build` needs no Dockerfile; --stage gives files other names")
        raise error


def _class(match: re.Match[str]) -> str:
    return f"[\\{match[0]}]" if match[0] in _ESCAPED else f"[{match[0]}]"


def _quoted(text: str) -> str:
    return _QUOTED.sub(r"\\\1", text)


def _json(text: str) -> str:
    """*text* as JSON, escaped so that the line has no here-document, which builders look for before they parse JSON,
    and no invisible format character."""
    plain = json.dumps(text, ensure_ascii=False)
    return "".join(
        character if character.isprintable() and character not in _HIDDEN else _escaped(character)
        for character in plain
    )


def _escaped(character: str) -> str:
    """*character* as JSON's escape, or as two of them beyond the first 65536 (RFC 8259, section 7)."""
    units = character.encode("utf-16-be").hex()
    return "".join(f"\\u{units[start : start + 4]}" for start in range(0, len(units), 4))

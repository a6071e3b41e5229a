"""What a registry's refusal means: a status and its error document become one of our errors, in one line."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from time import time
from typing import Any

from eci_convert.errors import AccessDeniedError, NotFoundError, TransportError
from eci_convert.transports.registry.http.response import Response
from eci_convert.transports.registry.http.retry import RETRYABLE_STATUSES, TransientError

_MAX_FAULT = 64 * 1024
_MAX_SHOWN = 200
_MAX_ENTRIES = 5
_EPOCH = 1_000_000_000
"""Seconds: nobody asks for a wait of thirty years. Such a Retry-After is a time since 1970, as Docker Hub sends."""
_MILLISECONDS = 1000 * _EPOCH

_SENTENCES = ("message", "error_description", "msg", "title", "reason", "description", "Message")
_DETAILS = ("detail", "details")
_MARKUP = re.compile(r"<(?:message|title|h1)(?:\s[^>]*)?>([^<]+)</", re.IGNORECASE)
_QUOTA = re.compile(
    r"quota|exceed|storage (?:limit|space)|out of (?:space|storage)|limit (?:is )?reached|too many|rate limit|"
    r"\b(?:billing|payment)\b",
    re.IGNORECASE,
)

Redacted = Callable[[str], str]


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorBody:
    """What the registry said of a failure (distribution-spec v1.1.1, "Error Codes"): the first code, all sentences."""

    code: str = ""
    reason: str = ""


def parse_error_body(answer: Response, redacted: Redacted) -> ErrorBody:
    """What the body of *answer* says of the failure, in whatever shape. The text can be shown."""
    content = answer.beginning(_MAX_FAULT)
    text = content.decode(errors="replace")
    try:
        document = json.loads(content)
    except (ValueError, RecursionError):
        return ErrorBody(reason=printable_body(_plain(text), redacted))
    entries = _entries(document)
    reasons = dict.fromkeys(_sentence(entry) for entry in entries)
    codes = (entry.get("code") for entry in entries if isinstance(entry, dict))
    code = next(codes, None)
    return ErrorBody(
        code=printable_body(str(code), redacted) if isinstance(code, str | int) and code else "",
        reason=printable_body("; ".join(filter(None, reasons)), redacted),
    )


def is_quota(said: ErrorBody) -> bool:
    """Whether something is used up: logging in would not help."""
    return _QUOTA.search(f"{said.code} {said.reason}".replace("_", " ")) is not None


def error_for(answer: Response, redacted: Redacted) -> TransportError:
    """The error that *answer*, which nobody expected, stands for. A failure that may pass is Transient."""
    return error_of(answer, parse_error_body(answer, redacted))


def error_of(answer: Response, said: ErrorBody) -> TransportError:
    """The error that *answer* stands for, of which the body *said* why."""
    detail = f": {said.reason}" if said.reason else ""
    text = f"{answer.method} {answer.url.shown}: {answer.status}{detail}"
    if answer.status in RETRYABLE_STATUSES:
        return TransientError(text, retry_after(answer), answer.status)
    if answer.status == 404:
        return NotFoundError(f"{answer.url.shown}: not found{detail}")
    if answer.status in (401, 403) and not is_quota(said):
        return AccessDeniedError(f"{answer.url.shown}: access denied{detail}")
    if answer.status == 400 and answer.url.scheme == "http":
        hinted = TransportError(text)
        hinted.add_note("hint: a registry that speaks TLS answers so to --plain-http")
        return hinted
    return TransportError(text)


def retry_after(answer: Response) -> float | None:
    """The seconds that the server asks to be left alone (RFC 9110 §10.2.3), None where it does not."""
    text = answer.header("Retry-After").strip()
    if text.isascii() and text.isdigit():
        seconds = float(text[:19])
        if seconds < _EPOCH:
            return seconds
        return max(0.0, (seconds / 1000 if seconds >= _MILLISECONDS else seconds) - time())
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - time())
    except (ValueError, TypeError, OverflowError):
        return None


def printable_body(text: str, redacted: Redacted, limit: int = _MAX_SHOWN) -> str:
    """A server's words as they may be shown: one short line, nothing for a terminal to obey, no secret of ours."""
    clean = redacted("".join(letter if letter.isprintable() else " " for letter in text[:_MAX_FAULT])).strip()
    return clean if len(clean) <= limit else f"{clean[:limit]}…"


def _entries(document: object) -> list[Any]:
    """The failures that an error document lists: a list as in the specification, one alone, or the document itself."""
    if isinstance(document, dict):
        for key in ("errors", "error"):
            listed = document.get(key)
            if isinstance(listed, list) and listed:
                return listed[:_MAX_ENTRIES]
            if isinstance(listed, dict) and listed:
                return [listed]
            if key == "errors" and isinstance(listed, str) and listed:
                return [listed]
    return document[:_MAX_ENTRIES] if isinstance(document, list) else [document]


def _sentence(entry: object) -> str:
    """The words of one failure; its code where there are none."""
    if not isinstance(entry, dict):
        return entry if isinstance(entry, str) else ""
    words = [word for word in (_first(entry, _SENTENCES), _first(entry, _DETAILS)) if word]
    named = entry.get("error")
    if not words and isinstance(named, str):
        words = [named]
    return ": ".join(dict.fromkeys(words)) or str(entry.get("code") or "")


def _first(entry: dict[str, Any], keys: Iterable[str]) -> str:
    """The first text under one of *keys*: that of a value that is a failure of its own is its sentence."""
    for key in keys:
        value = entry.get(key)
        if isinstance(value, list):
            value = value[0] if value else None
        if isinstance(value, dict):
            value = next(_texts(value), "")
        if isinstance(value, str) and value:
            return value
    return ""


def _texts(detail: dict[str, Any]) -> Iterator[str]:
    return (value for key in (*_SENTENCES, *_DETAILS, "error") if isinstance(value := detail.get(key), str) and value)


def _plain(text: str) -> str:
    """What *text*, which is not JSON, says: itself, and of XML or a web page its message or title."""
    if "\0" in text:
        return ""
    if not text.lstrip("\ufeff \t\r\n").startswith("<"):
        return text
    found = _MARKUP.search(text)
    return html.unescape(found[1]).strip() if found else ""

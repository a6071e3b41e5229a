"""HTTP error responses as exceptions: the status and the error body become one error with a one-line message."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from time import time
from typing import Any

from eci_convert.errors import AccessDeniedError, NotFoundError, TransportError
from eci_convert.transports.registry.http.response import Response
from eci_convert.transports.registry.http.retry import RETRYABLE_STATUSES, TransientError

_MAX_BODY = 64 * 1024
_MAX_SHOWN = 200
_MAX_ENTRIES = 5
_EPOCH = 1_000_000_000
"""Seconds. A larger Retry-After is a time since 1970, as Docker Hub sends, and not a delay of thirty years."""
_MILLISECONDS = 1000 * _EPOCH

_MESSAGE_KEYS = ("message", "error_description", "msg", "title", "reason", "description", "Message")
_DETAIL_KEYS = ("detail", "details")
_MARKUP = re.compile(r"<(?:message|title|h1)(?:\s[^>]*)?>([^<]+)</", re.IGNORECASE)
_QUOTA = re.compile(
    r"quota|exceed|storage (?:limit|space)|out of (?:space|storage)|limit (?:is )?reached|too many|rate limit|"
    r"\b(?:billing|payment)\b",
    re.IGNORECASE,
)

Redacted = Callable[[str], str]


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorBody:
    """The error body of a response (distribution-spec v1.1.1, "Error Codes"): the first code, and all messages."""

    code: str = ""
    reason: str = ""


def parse_error_body(response: Response, redacted: Redacted) -> ErrorBody:
    """The code and the messages in the body of *response*, in whatever format. Printable, without secrets."""
    content = response.beginning(_MAX_BODY)
    text = content.decode(errors="replace")
    try:
        document = json.loads(content)
    except (ValueError, RecursionError):
        return ErrorBody(reason=printable_body(_message_in_text(text), redacted))
    entries = _entries(document)
    reasons = dict.fromkeys(_message(entry) for entry in entries)
    codes = (entry.get("code") for entry in entries if isinstance(entry, dict))
    code = next(codes, None)
    return ErrorBody(
        code=printable_body(str(code), redacted) if isinstance(code, str | int) and code else "",
        reason=printable_body("; ".join(filter(None, reasons)), redacted),
    )


def is_quota(body: ErrorBody) -> bool:
    """Whether the error is about a quota or rate limit: logging in would not help."""
    return _QUOTA.search(f"{body.code} {body.reason}".replace("_", " ")) is not None


def error_of(response: Response, body: ErrorBody) -> TransportError:
    """The error for *response*, whose parsed body is *body*."""
    detail = f": {body.reason}" if body.reason else ""
    text = f"{response.method} {response.url.shown}: {status_and_reason(response.status, body)}"
    if response.status in RETRYABLE_STATUSES:
        return TransientError(text, retry_after(response), response.status)
    if response.status == 404:
        return NotFoundError(f"{response.url.shown}: not found{detail}")
    if response.status in (401, 403) and not is_quota(body):
        return AccessDeniedError(f"{response.url.shown}: access denied{detail}")
    if response.status == 400 and response.url.scheme == "http":
        hinted = TransportError(text)
        hinted.add_note("hint: a registry that expects TLS responds with this to --plain-http")
        return hinted
    return TransportError(text)


def status_and_reason(status: int, body: ErrorBody) -> str:
    """*status* with the server's message, or else with its reason phrase (RFC 9110 §15).

    >>> status_and_reason(503, ErrorBody(reason="down for maintenance")), status_and_reason(503, ErrorBody())
    ('503: down for maintenance', '503 Service Unavailable')
    """
    if body.reason:
        return f"{status}: {body.reason}"
    with suppress(ValueError):
        return f"{status} {HTTPStatus(status).phrase}"
    return str(status)


def retry_after(response: Response) -> float | None:
    """The seconds of the Retry-After header (RFC 9110 §10.2.3), None without one."""
    text = response.header("Retry-After").strip()
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
    """A server's text for display: one line of at most *limit* characters, no control characters, no secret of ours."""
    clean = redacted("".join(letter if letter.isprintable() else " " for letter in text[:_MAX_BODY])).strip()
    return clean if len(clean) <= limit else f"{clean[:limit]}…"


def _entries(document: object) -> list[Any]:
    """The errors in an error body: a list as in the specification, a single one, or the whole document."""
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


def _message(entry: object) -> str:
    """The message of one error; its code if there is none."""
    if not isinstance(entry, dict):
        return entry if isinstance(entry, str) else ""
    messages = [message for message in (_first(entry, _MESSAGE_KEYS), _first(entry, _DETAIL_KEYS)) if message]
    named = entry.get("error")
    if not messages and isinstance(named, str):
        messages = [named]
    return ": ".join(dict.fromkeys(messages)) or str(entry.get("code") or "")


def _first(entry: dict[str, Any], keys: Iterable[str]) -> str:
    """The first text under one of *keys*; of a nested error, its message."""
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
    return (
        value for key in (*_MESSAGE_KEYS, *_DETAIL_KEYS, "error") if isinstance(value := detail.get(key), str) and value
    )


def _message_in_text(text: str) -> str:
    """The message in *text*, which is not JSON: the text itself, or the message or title of XML and HTML."""
    if "\0" in text:
        return ""
    if not text.lstrip("\ufeff \t\r\n").startswith("<"):
        return text
    match = _MARKUP.search(text)
    return html.unescape(match[1]).strip() if match else ""

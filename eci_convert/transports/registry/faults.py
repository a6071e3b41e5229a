"""What a registry's refusal means: a status and its error document become one of our errors, in one line."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from time import time
from typing import Any

from eci_convert.errors import AccessDenied, NotFound, TransportError
from eci_convert.transports.registry.answer import Answer
from eci_convert.transports.registry.patience import RETRIED, Transient

_MAX_FAULT = 64 * 1024
_MAX_SHOWN = 200

Redacted = Callable[[str], str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """What the registry said of a failure (distribution-spec v1.1.1, "Error Codes"): the first code, all sentences."""

    code: str = ""
    reason: str = ""


def fault(answer: Answer, redacted: Redacted) -> Fault:
    """What the body of *answer* says; nothing where it is no error document. The text can be shown."""
    try:
        errors = json.loads(answer.read(_MAX_FAULT)).get("errors")
        entries = [entry for entry in errors if isinstance(entry, dict)][:5]
    except (TransportError, ValueError, AttributeError, TypeError, RecursionError):
        return Fault()
    reasons = [_sentence(entry) for entry in entries]
    return Fault(
        code=shown(str(entries[0].get("code") or ""), redacted) if entries else "",
        reason=shown("; ".join(filter(None, reasons)), redacted),
    )


def error(answer: Answer, redacted: Redacted) -> TransportError:
    """The error that *answer*, which nobody expected, stands for. A failure that may pass is Transient."""
    said = fault(answer, redacted)
    detail = f": {said.reason}" if said.reason else ""
    text = f"{answer.method} {answer.url.shown}: {answer.status}{detail}"
    if answer.status in RETRIED:
        return Transient(text, retry_after(answer), answer.status)
    if answer.status == 404:
        return NotFound(f"{answer.url.shown}: not found{detail}")
    if answer.status in (401, 403):
        return AccessDenied(f"{answer.url.shown}: access denied{detail}")
    if answer.status == 400 and answer.url.scheme == "http":
        hinted = TransportError(text)
        hinted.add_note("hint: a registry that speaks TLS answers so to --plain-http")
        return hinted
    return TransportError(text)


def retry_after(answer: Answer) -> float | None:
    """The seconds that the server asks to be left alone (RFC 9110 §10.2.3), None where it does not."""
    text = answer.header("Retry-After").strip()
    if text.isascii() and text.isdigit():
        return float(text[:9])
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - time())
    except (ValueError, TypeError, OverflowError):
        return None


def shown(text: str, redacted: Redacted) -> str:
    """A server's words as they may be shown: one short line, nothing for a terminal to obey, no secret of ours."""
    clean = redacted("".join(letter if letter.isprintable() else " " for letter in text[:_MAX_FAULT])).strip()
    return clean if len(clean) <= _MAX_SHOWN else f"{clean[:_MAX_SHOWN]}…"


def _sentence(entry: dict[str, Any]) -> str:
    message, detail = entry.get("message"), entry.get("detail")
    words = [part for part in (message, detail) if isinstance(part, str)]
    return ": ".join(words) or str(entry.get("code") or "")

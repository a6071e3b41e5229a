"""Answers, and the faults that spoil them: a fault is a function that changes a Reply."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from eci_convert.testing.registry import FaultyRegistry


@dataclass(frozen=True, kw_only=True)
class Reply:
    """An answer to be sent, after *delay* seconds. *length* is that of the body; None sends no `Content-Length`.

    *cut*: so many bytes of the body, then *stall* seconds of silence and the end of the connection. *dropped*: the end
    of the connection at once. *raw*: these bytes and nothing else, one by one with a *pause* in seconds between them,
    but for the first *at_once*.
    """

    status: int = 200
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    length: int | None = 0
    cut: int | None = None
    stall: float = 0.0
    delay: float = 0.0
    dropped: bool = False
    raw: bytes | None = None
    pause: float = 0.0
    at_once: int = 0

    @classmethod
    def of(cls, status: int, body: bytes = b"", **headers: str) -> Reply:
        """An answer with *body*; `Content_Type="…"` is the header `Content-Type`."""
        pairs = tuple((name.replace("_", "-"), value) for name, value in headers.items())
        return cls(status=status, body=body, length=None if status == 204 else len(body), headers=pairs)

    def header(self, name: str) -> str:
        """The value of a header; "" where there is none."""
        return next((value for key, value in self.headers if key.lower() == name.lower()), "")

    def with_header(self, name: str, value: str | None) -> Reply:
        """The same answer, one header of which is another, or (None) missing."""
        kept = tuple(pair for pair in self.headers if pair[0].lower() != name.lower())
        return replace(self, headers=kept if value is None else (*kept, (name, value)))


Change = Callable[[Reply], Reply]


def status(code: int, body: bytes = b"", **headers: str) -> Change:
    """Another answer instead."""
    return lambda _: Reply.of(code, body, **headers)


def refusal(code: int, word: str, message: str) -> Change:
    """An answer with the error document of the specification."""
    return status(code, json.dumps({"errors": [{"code": word, "message": message}]}).encode())


def cut(after: int, *, stall: float = 0.0) -> Change:
    """The body ends after so many bytes, whatever was promised."""
    return lambda reply: replace(reply, cut=after, stall=stall)


def dropped(_: Reply) -> Reply:
    """The connection ends without an answer."""
    return Reply(dropped=True)


def delayed(seconds: float) -> Change:
    """The same answer, later."""
    return lambda reply: replace(reply, delay=seconds)


def header(name: str, value: str | None) -> Change:
    """One header is another, or (None) missing."""
    return lambda reply: reply.with_header(name, value)


def body(content: bytes) -> Change:
    """Another body, with its Content-Length."""
    return lambda reply: replace(reply, body=content, length=len(content))


def spoiled(reply: Reply) -> Reply:
    """The right number of wrong bytes."""
    return replace(reply, body=bytes(byte ^ 0xFF for byte in reply.body))


def raw(content: bytes) -> Change:
    """These bytes instead of an answer, then the end of the connection."""
    return lambda _: Reply(raw=content)


@dataclass(frozen=True)
class Unheard:
    """A fault whose request is answered and not carried out."""

    change: Change

    def __call__(self, reply: Reply) -> Reply:
        return self.change(reply)


def unheard(change: Change) -> Change:
    """The answer is *change*, and what was asked for is not done."""
    return Unheard(change)


def spoils_upload(registry: FaultyRegistry) -> Change:
    """One byte of an upload is another afterwards."""

    def change(reply: Reply) -> Reply:
        for held in registry.uploads.values():
            held[0] ^= 1
        return reply

    return change


def refuses_authorization(registry: FaultyRegistry) -> Change:
    """As S3 does: a signature and an Authorization header are one too many."""

    def change(reply: Reply) -> Reply:
        last = registry.requests[-1]
        return Reply.of(400) if last.headers.get("Authorization") else reply

    return change


def echoes_authorization(registry: FaultyRegistry, code: int) -> Change:
    """An error that repeats the request."""

    def change(_: Reply) -> Reply:
        authorization = registry.requests[-1].headers.get("Authorization", "")
        return refusal(code, "BAD", f"what is {authorization}?")(Reply())

    return change


def trickling(content: bytes, *, pause: float, at_once: int = 0) -> Change:
    """The bytes of an answer, one by one."""
    return lambda _: Reply(raw=content, pause=pause, at_once=at_once)

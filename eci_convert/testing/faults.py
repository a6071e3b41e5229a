"""Replies, and faults: functions that change a Reply."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from eci_convert.testing.registry import FaultyRegistry


@dataclass(frozen=True, kw_only=True)
class Reply:
    """A response to send after *delay* seconds. *length* is that of the body; None sends no `Content-Length`.

    *cut*: this many bytes of the body are sent, then nothing for *stall* seconds, then the connection is closed.
    *dropped*: the connection is closed without a response. *raw*: exactly these bytes are sent, the first *at_once* of
    them together, the rest one by one with a *pause* in seconds between them.
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
        """A response with *body*; `Content_Type="…"` is the header `Content-Type`."""
        pairs = tuple((name.replace("_", "-"), value) for name, value in headers.items())
        return cls(status=status, body=body, length=None if status == 204 else len(body), headers=pairs)

    def header(self, name: str) -> str:
        """The value of a header; "" if it is absent."""
        return next((value for key, value in self.headers if key.lower() == name.lower()), "")

    def with_header(self, name: str, value: str | None) -> Reply:
        """The same response with the header *name* set to *value*, or removed if that is None."""
        kept = tuple(pair for pair in self.headers if pair[0].lower() != name.lower())
        return replace(self, headers=kept if value is None else (*kept, (name, value)))


Change = Callable[[Reply], Reply]


def status(code: int, body: bytes = b"", **headers: str) -> Change:
    """Replaces the response."""
    return lambda _: Reply.of(code, body, **headers)


def refusal(code: int, word: str, message: str) -> Change:
    """Replaces the response by an error of the distribution-spec, with its JSON body."""
    return status(code, json.dumps({"errors": [{"code": word, "message": message}]}).encode())


def cut(after: int, *, stall: float = 0.0) -> Change:
    """Truncates the body after *after* bytes, whatever Content-Length was sent."""
    return lambda reply: replace(reply, cut=after, stall=stall)


def dropped(_: Reply) -> Reply:
    """Closes the connection without a response."""
    return Reply(dropped=True)


def delayed(seconds: float) -> Change:
    """Delays the response."""
    return lambda reply: replace(reply, delay=seconds)


def header(name: str, value: str | None) -> Change:
    """Sets a header, or removes it if *value* is None."""
    return lambda reply: reply.with_header(name, value)


def body(content: bytes) -> Change:
    """Replaces the body, with a correct Content-Length."""
    return lambda reply: replace(reply, body=content, length=len(content))


def spoiled(reply: Reply) -> Reply:
    """Changes the content of the body, and not its length."""
    return replace(reply, body=bytes(byte ^ 0xFF for byte in reply.body))


def raw(content: bytes) -> Change:
    """Sends *content* instead of a response, and closes the connection."""
    return lambda _: Reply(raw=content)


@dataclass(frozen=True)
class Unheard:
    """A fault whose request is not carried out."""

    change: Change

    def __call__(self, reply: Reply) -> Reply:
        return self.change(reply)


def unheard(change: Change) -> Change:
    """Applies *change*, and the request is not carried out."""
    return Unheard(change)


def spoils_upload(registry: FaultyRegistry) -> Change:
    """Changes one byte of the upload."""

    def change(reply: Reply) -> Reply:
        for held in registry.uploads.values():
            held[0] ^= 1
        return reply

    return change


def refuses_authorization(registry: FaultyRegistry) -> Change:
    """Refuses a request with an Authorization header, as S3 does for signed URLs."""

    def change(reply: Reply) -> Reply:
        last = registry.requests[-1]
        return Reply.of(400) if last.headers.get("Authorization") else reply

    return change


def echoes_authorization(registry: FaultyRegistry, code: int) -> Change:
    """Replaces the response by an error that repeats the Authorization header of the request."""

    def change(_: Reply) -> Reply:
        authorization = registry.requests[-1].headers.get("Authorization", "")
        return refusal(code, "BAD", f"what is {authorization}?")(Reply())

    return change


def trickling(content: bytes, *, pause: float, at_once: int = 0) -> Change:
    """Sends *content* instead of a response, byte by byte."""
    return lambda _: Reply(raw=content, pause=pause, at_once=at_once)

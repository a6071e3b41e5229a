"""What the next request of an upload looks like: pure rules, which `transports/registry/push/chunked.py` executes.

An upload is in one of four phases:

probing  until the session has taken two chunks: a registry may take one only, and then all of it has to be sent again.
steady   chunks that are held until the registry has confirmed them; larger ones where they arrive in no time.
long     on a fast line, what is left goes in long requests of which nothing is held: a registry has a break after each
         chunk to sync it. After a fault such a request has to be read again.
lossy    connections broke: chunks are as short as the losses allow, and each goes over a connection of its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

MIB = 1024 * 1024

SMALLEST = 64 * 1024
"""Chunks are never made shorter, whatever a registry refuses."""

CHUNK = 6 * MIB
"""What is lost when a connection breaks; each upload holds two of it, or three. ECR wants 5 MB and more."""

SHARED = 24 * MIB
"""Quick chunks are larger, the more the fewer uploads share this."""

MOST_ASKED = 64 * MIB
"""The longest chunk that a registry may ask for as its shortest (`OCI-Chunk-Min-Length`)."""

LONG = 256 * MIB
"""Bytes of a long request, which are lost with it. None is less than a quarter of it."""

_QUICK = 0.5
"""Seconds. A chunk that took longer is followed by a small one: where it is cut, what is lost is at least all of it."""

FAST = 128 * MIB
"""Bytes a second at which a chunk arrives where a long request is worth it, and soon made good."""

_PROVEN = 2
"""Chunks that a session has to take before it is known to take more than one."""


class Phase(StrEnum):
    """How an upload goes on."""

    PROBING = "probing"
    STEADY = "steady"
    LONG = "long"
    LOSSY = "lossy"


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a host allows, in bytes. *uploads* share it; *minimum* is what it asks for, *largest* what it was found to
    take; *lossy* what recent losses of connections allow; *long_requests*: none was lost so far."""

    uploads: int = 1
    minimum: int = 0
    largest: int | None = None
    lossy: int | None = None
    long_requests: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class NextRequest:
    """The bytes from offset *first* to before *last*. Not *held*: they are not kept until they are confirmed."""

    first: int
    last: int
    held: bool = True

    @property
    def length(self) -> int:
        """How many bytes they are."""
        return self.last - self.first


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How the last chunk arrived."""

    quick: bool = False
    fast: bool = False

    @classmethod
    def of(cls, length: int, seconds: float) -> Pace:
        """The pace of a chunk of *length* bytes that took *seconds*."""
        return cls(quick=seconds < _QUICK, fast=seconds * FAST < length)


@dataclass(frozen=True, slots=True, kw_only=True)
class UploadPlan:
    """An upload as it stands: the session has *taken* so many chunks up to *offset*; the bytes up to *end* are held,
    and where *ended* there are no others. *size* is that of the blob, None where nobody knows it."""

    offset: int
    end: int
    ended: bool
    size: int | None = None
    taken: int = 0
    pace: Pace = Pace()
    limits: Limits = Limits()

    @property
    def phase(self) -> Phase:
        """How the upload goes on now."""
        if self.limits.lossy is not None:
            return Phase.LOSSY
        if self.taken < _PROVEN:
            return Phase.PROBING
        fast = self.pace.fast and self.limits.long_requests and self.limits.largest is None
        left = (self.size or 0) - self.offset
        return Phase.LONG if fast and left >= LONG // 4 else Phase.STEADY

    @property
    def chunk(self) -> int:
        """The bytes of one chunk."""
        return chunk_length(self.limits, quick=self.pace.quick)

    @property
    def missing(self) -> int:
        """How many more bytes should be held before the next request."""
        return 0 if self.ended or self.phase is Phase.LONG else max(0, self.chunk - (self.end - self.offset))

    @property
    def ahead(self) -> int:
        """How many more bytes may be gathered while the next request is under way."""
        return max(0, min(self.offset + self.chunk, self.end) + self.chunk - self.end)

    def next_request(self) -> NextRequest | None:
        """What to send; None when all of it was sent. Only the last chunk of a blob is shorter than `chunk`."""
        if self.phase is Phase.LONG and self.size is not None:
            return NextRequest(first=self.offset, last=min(self.size, self.offset + LONG), held=False)
        if self.offset >= self.end:
            return None
        return NextRequest(first=self.offset, last=min(self.end, self.offset + self.chunk))


def chunk_length(limits: Limits, *, quick: bool = False) -> int:
    """The bytes of one chunk where *limits* hold. What a host was found to refuse counts more than what it asks for."""
    length = max(CHUNK, SHARED // max(1, limits.uploads)) if quick else CHUNK
    if limits.lossy is not None:
        length = min(length, limits.lossy)
    length = max(length, min(limits.minimum, MOST_ASKED))
    return length if limits.largest is None else min(length, max(limits.largest, SMALLEST))


def shorter(length: int, limits: Limits) -> int | None:
    """The chunk length to try after one of *length* was too large; None where there is none. Down to the minimum that
    the host asks for first, then below it."""
    if length <= SMALLEST:
        return None
    half = max(length // 2, SMALLEST)
    return limits.minimum if half < limits.minimum < length else half


def positions(
    *, counted: int | None, floor: int, expected: int, held: int, refused: frozenset[int], one_more: bool = False
) -> list[int]:
    """The offsets at which a session may be after a fault, the most likely one first.

    *counted* is the registry's count, None where it does not tell; *one_more*: it has been seen to count one byte too
    many. *floor* was confirmed by a success, *expected* is where the session is if all arrived; bytes from *held* on
    can still be sent. At *refused* the registry is not: a count may be stale, or that of the last chunk alone.
    """
    if counted is None:
        guesses = [floor, expected]
    elif counted in (expected, expected + 1):
        guesses = [expected, counted - 1, floor]
    elif counted < floor:
        guesses = [floor, counted, expected]
    else:
        guesses = [counted - 1, counted] if one_more else [counted, counted - 1]
        guesses += [expected, floor]
    likely = (guess for guess in dict.fromkeys(guesses) if (guess >= floor or guess == counted) and guess <= expected)
    return [guess for guess in likely if guess >= held and guess not in refused]

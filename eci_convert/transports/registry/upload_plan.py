"""Decides on the next request of an upload: pure rules, which `transports/registry/push/chunked.py` executes.

An upload is in one of four phases:

probing  until the session has accepted two chunks: a registry may accept only one, and then all data is sent again.
steady   chunks that are buffered until the registry has confirmed them; larger ones on a fast connection.
long     on a very fast connection, the rest is sent in long requests that are not buffered: a registry pauses after
         each request to sync it to disk. After a failure the data of such a request has to be read again.
lossy    connections were lost: chunks are as short as the losses allow, each over a connection of its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

MIB = 1024 * 1024

SMALLEST = 64 * 1024
"""Bytes. Chunks are never smaller, whatever a registry refuses."""

CHUNK = 6 * MIB
"""Bytes of a chunk, lost with its connection; each upload buffers two or three chunks. ECR requires 5 MB or more."""

SHARED = 24 * MIB
"""Bytes. After a quick chunk the next is larger, up to this size shared by all uploads in progress."""

MAX_MINIMUM = 64 * MIB
"""Bytes. The largest minimum (`OCI-Chunk-Min-Length`) that a registry may ask for."""

LONG = 256 * MIB
"""Bytes of a long request, all lost with its connection. None is shorter than a quarter of this."""

_QUICK = 0.5
"""Seconds. A chunk that took longer is followed by a small one, so that a lost connection costs little."""

FAST = 128 * MIB
"""Bytes a second. Above this a long request saves time, and is quickly repeated after a failure."""

_PROVEN = 2
"""Chunks that a session has to accept before it is known to accept more than one."""


class UploadPhase(StrEnum):
    """The phase of an upload."""

    PROBING = "probing"
    STEADY = "steady"
    LONG = "long"
    LOSSY = "lossy"


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The limits of a host, in bytes. *uploads*: in progress at once; *minimum*: requested by the host; *largest*: what
    it was found to accept; *lossy*: allowed after recent connection losses; *long_requests*: none was lost so far."""

    uploads: int = 1
    minimum: int = 0
    largest: int | None = None
    lossy: int | None = None
    long_requests: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class NextRequest:
    """The data from offset *first* to before *last*. Not *held*: it is not buffered until it is confirmed."""

    first: int
    last: int
    held: bool = True

    @property
    def length(self) -> int:
        """The number of bytes."""
        return self.last - self.first


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """The speed of the last chunk."""

    quick: bool = False
    fast: bool = False

    @classmethod
    def of(cls, length: int, seconds: float) -> Pace:
        """The pace of a chunk of *length* bytes that took *seconds*."""
        return cls(quick=seconds < _QUICK, fast=seconds * FAST < length)


@dataclass(frozen=True, slots=True, kw_only=True)
class UploadPlan:
    """The state of an upload: the session has *taken* so many chunks up to *offset*; data up to *end* is buffered, and
    *ended* means that there is no more. *size* is that of the blob, None if unknown."""

    offset: int
    end: int
    ended: bool
    size: int | None = None
    taken: int = 0
    pace: Pace = Pace()
    limits: Limits = Limits()

    @property
    def phase(self) -> UploadPhase:
        """The current phase."""
        if self.limits.lossy is not None:
            return UploadPhase.LOSSY
        if self.taken < _PROVEN:
            return UploadPhase.PROBING
        fast = self.pace.fast and self.limits.long_requests and self.limits.largest is None
        left = (self.size or 0) - self.offset
        return UploadPhase.LONG if fast and left >= LONG // 4 else UploadPhase.STEADY

    @property
    def chunk(self) -> int:
        """The size of one chunk in bytes."""
        return chunk_length(self.limits, quick=self.pace.quick)

    @property
    def missing(self) -> int:
        """The number of bytes to buffer before the next request."""
        return 0 if self.ended or self.phase is UploadPhase.LONG else max(0, self.chunk - (self.end - self.offset))

    @property
    def ahead(self) -> int:
        """The number of bytes to buffer while the next request is in progress."""
        return max(0, min(self.offset + self.chunk, self.end) + self.chunk - self.end)

    def next_request(self) -> NextRequest | None:
        """The next request; None when everything was sent. Only the last chunk of a blob is smaller than `chunk`."""
        if self.phase is UploadPhase.LONG and self.size is not None:
            return NextRequest(first=self.offset, last=min(self.size, self.offset + LONG), held=False)
        if self.offset >= self.end:
            return None
        return NextRequest(first=self.offset, last=min(self.end, self.offset + self.chunk))


def chunk_length(limits: Limits, *, quick: bool = False) -> int:
    """The chunk size in bytes under *limits*. What a host refused takes precedence over the minimum it asks for."""
    length = max(CHUNK, SHARED // max(1, limits.uploads)) if quick else CHUNK
    if limits.lossy is not None:
        length = min(length, limits.lossy)
    length = max(length, min(limits.minimum, MAX_MINIMUM))
    return length if limits.largest is None else min(length, max(limits.largest, SMALLEST))


def shorter(length: int, limits: Limits) -> int | None:
    """The chunk size to try after *length* was refused as too large; None if there is none. First down to the minimum
    that the host asks for, then below it."""
    if length <= SMALLEST:
        return None
    half = max(length // 2, SMALLEST)
    return limits.minimum if half < limits.minimum < length else half


def positions(
    *, counted: int | None, floor: int, expected: int, held: int, refused: frozenset[int], one_more: bool = False
) -> list[int]:
    """The offsets at which a session may be after a failure, the most likely one first.

    *counted* is the registry's count, None without one; *one_more*: it was seen to count one byte too many. *floor* was
    confirmed by a success, *expected* is the offset if everything arrived; data from offset *held* on is buffered.
    Offsets in *refused* were tried. A count may be stale, or that of the last chunk alone.
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

"""Every error that eci-convert raises, split by what the user does next. The numbers are exit codes.

    EciError
    ├── UsageError              2  the request is invalid: correct it
    ├── TransportError          3  a registry, daemon or store failed or refused: check the network, the daemon
    │   ├── NotFoundError       4  no such image, tag, blob or file: check the name
    │   ├── AccessDeniedError   5  log in
    │   ├── ManifestRefusedError   a registry refused this manifest
    │   └── UploadLostError        an upload has to start over
    ├── IntegrityError          6  content does not match its digest or size: distrust the image
    │   ├── DigestMismatchError
    │   └── SizeMismatchError
    ├── FormatError             7  malformed content with the right digest: report it to its producer
    │   ├── CorruptStreamError
    │   └── LimitExceededError
    ├── UnsupportedImageError   8  a valid image that lacks what was requested: choose another dialect
    │   ├── UnknownDialectError
    │   ├── AmbiguousRoleError
    │   ├── MissingPartError
    │   ├── DiskTypeError
    │   └── CannotHoldError        the destination cannot store this dialect
    └── LocalError              9  an error of this computer: no space, no permission, a file that exists

`str(error)` is one line; `error.hint` is advice. Values are attributes. Notes (`add_note`) say where the error came
from; a note that begins with "hint: " is advice, in terms of the command line.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar, Final

from eci_convert.library_terms import in_library_terms
from eci_convert.redaction import redacted

MAX_LINE: Final = 2000
"""The maximum length of a printed line, in characters."""

_HINT: Final = "hint: "


class EciError(Exception):
    """The base of all errors. The message is one line; passwords in URLs are removed from it."""

    def __init__(self, message: str = "") -> None:
        super().__init__(redacted(message))

    def add_note(self, note: str) -> None:
        super().add_note(redacted(note))

    exit_code: ClassVar[int] = 1
    """The exit code of the command line."""

    @property
    def hint(self) -> str:
        """Advice, in terms of the library; "" if there is none. Several hints are separated by `; `."""
        notes: list[str] = getattr(self, "__notes__", [])
        return "; ".join(in_library_terms(note.removeprefix(_HINT)) for note in notes if note.startswith(_HINT))


class UsageError(EciError):
    """The request is invalid, whatever the images contain."""

    exit_code = 2


class TransportError(EciError):
    """A registry, daemon or store could not be reached, failed, or refused."""

    exit_code = 3


class NotFoundError(TransportError):
    """A registry, daemon or store was reached and has no such image, tag, blob or file."""

    exit_code = 4


class AccessDeniedError(TransportError):
    """A registry, daemon or store was reached and denies this user access."""

    exit_code = 5


class IntegrityError(EciError):
    """Content does not match its expected digest or size."""

    exit_code = 6


class DigestMismatchError(IntegrityError):
    """Content has the digest *actual*, not *expected*. Both are text such as `sha256:…`."""

    def __init__(self, expected: object, actual: object, what: str = "content") -> None:
        super().__init__(f"{what}: digest mismatch: expected {expected}, got {actual}")
        self.expected = str(expected)
        self.actual = str(actual)


class SizeMismatchError(IntegrityError):
    """Content is *actual* bytes long, or longer, not *expected* bytes."""

    def __init__(self, expected: int, actual: int, what: str = "content") -> None:
        more = " or more" if actual > expected else ""
        super().__init__(f"{what}: size mismatch: expected {expected} bytes, got {actual}{more}")
        self.expected = expected
        self.actual = actual


class FormatError(EciError):
    """Content with the right digest is malformed. *where* is the location of the error: `manifest.layers[2].size`."""

    exit_code = 7

    def __init__(self, message: str, *, where: str = "") -> None:
        super().__init__(f"{where}: {message}" if where else message)
        self.where = where


class CorruptStreamError(FormatError):
    """A compressed stream or an archive is malformed or truncated."""


class LimitExceededError(FormatError):
    """A built-in or user-supplied limit was exceeded."""


class UnsupportedImageError(EciError):
    """The image is valid, but lacks what was requested."""

    exit_code = 8


class UnknownDialectError(UnsupportedImageError):
    """No dialect recognises the image."""


class AmbiguousRoleError(UnsupportedImageError):
    """Two parts claim one role."""


class MissingPartError(UnsupportedImageError):
    """The image has no such part, or no file at the path that a label gives."""


class DiskTypeError(UnsupportedImageError):
    """The declared type of a disk contradicts its content."""


class CannotHoldError(UnsupportedImageError):
    """The destination cannot store what would be written to it."""


class LocalError(EciError):
    """An error of this computer: no space, no permission, a file that exists already."""

    exit_code = 9


def printable(text: object) -> str:
    """*text* with everything that is not a printable character escaped: control characters (C0, C1, DEL), line ends,
    characters that change the direction of text, and bytes that were not UTF-8.

    >>> printable("a\\x1b[31mb\\n")
    'a\\\\x1b[31mb\\\\n'
    """
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape", "surrogatepass").decode("ascii")
        for character in str(text)
    )


def one_line(text: object, limit: int = MAX_LINE) -> str:
    """*text* as one printable line of at most *limit* characters; the middle of a longer text is left out.

    >>> one_line("annotations." + "k" * 1000 + ": expected str", 60)
    'annotations.kkkkkkkkkkkkkkkkkkkk…(974)…kkkkkk: expected str'
    """
    whole = str(text)
    tail = limit // 3
    if len(whole) <= limit and len(escaped := printable(whole)) <= limit:
        return escaped
    # An escape has at most ten characters, so a prefix of the text suffices.
    first = printable(whole[:limit])
    last = printable(whole[-limit:])
    head = limit - tail - len(str(len(whole))) - 4
    left_out = max(1, len(whole) - head - tail)
    return f"{first[:head]}…({left_out})…{last[-tail:]}"


class ManifestRefusedError(TransportError):
    """A registry allows this user to write, but refused this manifest.

    *status* is the HTTP status, *code* the registry's error code (`MANIFEST_INVALID`; "" without one), *reason* its
    message. The caller may retry with a manifest that strict registries accept.
    """

    def __init__(self, message: str, *, status: int, code: str = "", reason: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.reason = reason


class UploadLostError(TransportError):
    """An upload cannot be resumed, and its data is no longer buffered: send the blob again from its first byte."""


def quoted_list(names: Iterable[str], limit: int = 20) -> str:
    """At most *limit* of *names* in one line, each quoted and escaped: they may come from images.

    >>> quoted_list("abc", limit=2)
    "'a', 'b' and 1 more"
    """
    every = list(names)
    rest = f" and {len(every) - limit} more" if len(every) > limit else ""
    return ", ".join(map(repr, every[:limit])) + rest

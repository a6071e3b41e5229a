"""Every error that eci-convert raises, split by what the user does next. The numbers are exit codes.

    EciError
    ├── UsageError              2  the request makes no sense: correct it
    ├── TransportError          3  the place could not be reached, or refused: check the network, the daemon
    │   ├── NotFoundError       4  no such image, tag, blob or file: check the name
    │   ├── AccessDeniedError   5  log in
    │   ├── ManifestRefusedError   a registry will not have this manifest
    │   └── UploadLostError        an upload has to begin again
    ├── IntegrityError          6  the bytes are not the ones that were promised: distrust the image
    │   ├── DigestMismatchError
    │   └── SizeMismatchError
    ├── FormatError             7  the promised bytes, malformed: tell their producer
    │   ├── CorruptStreamError
    │   └── LimitExceededError
    ├── UnsupportedImageError   8  a good image, without what was asked for: choose another dialect
    │   ├── UnknownDialectError
    │   ├── AmbiguousRoleError
    │   ├── MissingPartError
    │   ├── DiskTypeError
    │   └── CannotHoldError        the destination cannot store this dialect
    └── LocalError              9  this computer: no space, no permission, a file in the way

`str(error)` is one line, `error.hint` says what to do next. Facts are attributes. Whose fault it was is in notes
(`add_note`); a note that begins with "hint: " is advice, in the words of the command line.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar, Final

from eci_convert.library_terms import in_library_terms
from eci_convert.redaction import redacted

MAX_LINE: Final = 2000
"""The most characters of a printed line."""

_HINT: Final = "hint: "


class EciError(Exception):
    """What went wrong, in one line, without the passwords of URLs that are repeated in it."""

    def __init__(self, message: str = "") -> None:
        super().__init__(redacted(message))

    def add_note(self, note: str) -> None:
        super().add_note(redacted(note))

    exit_code: ClassVar[int] = 1
    """What the command line ends with."""

    @property
    def hint(self) -> str:
        """What to do about it, in the words of the library; "" if unknown. Several are separated by `; `."""
        notes: list[str] = getattr(self, "__notes__", [])
        return "; ".join(in_library_terms(note.removeprefix(_HINT)) for note in notes if note.startswith(_HINT))


class UsageError(EciError):
    """The request makes no sense, whatever the images hold."""

    exit_code = 2


class TransportError(EciError):
    """A place could not be reached, failed, or refused."""

    exit_code = 3


class NotFoundError(TransportError):
    """A place was reached and has no such image, tag, blob or file."""

    exit_code = 4


class AccessDeniedError(TransportError):
    """A place was reached and does not let this user do that."""

    exit_code = 5


class IntegrityError(EciError):
    """The bytes are not the ones that were promised."""

    exit_code = 6


class DigestMismatchError(IntegrityError):
    """Content hashes to *actual* where *expected* was promised. Both are text such as `sha256:…`."""

    def __init__(self, expected: object, actual: object, what: str = "content") -> None:
        super().__init__(f"{what} has digest {actual} where {expected} was promised")
        self.expected = str(expected)
        self.actual = str(actual)


class SizeMismatchError(IntegrityError):
    """Content is *actual* bytes long, or longer, where *expected* bytes were promised."""

    def __init__(self, expected: int, actual: int, what: str = "content") -> None:
        super().__init__(
            f"{what} is {actual} bytes or more where {expected} were promised"
            if actual > expected
            else f"{what} ends after {actual} bytes where {expected} were promised"
        )
        self.expected = expected
        self.actual = actual


class FormatError(EciError):
    """The promised bytes, malformed. *where* locates the fault: `manifest.layers[2].size`."""

    exit_code = 7

    def __init__(self, message: str, *, where: str = "") -> None:
        super().__init__(f"{where}: {message}" if where else message)
        self.where = where


class CorruptStreamError(FormatError):
    """A compressed stream or an archive that breaks its own format, or ends too early."""


class LimitExceededError(FormatError):
    """More than a limit of ours, or than one that the user has set."""


class UnsupportedImageError(EciError):
    """A good image, without what was asked for."""

    exit_code = 8


class UnknownDialectError(UnsupportedImageError):
    """No dialect recognises the image."""


class AmbiguousRoleError(UnsupportedImageError):
    """Two parts claim one role."""


class MissingPartError(UnsupportedImageError):
    """The image has no such part, or no file where a label says one is."""


class DiskTypeError(UnsupportedImageError):
    """A disk is declared as one type and its bytes are of another."""


class CannotHoldError(UnsupportedImageError):
    """The destination cannot store what would be written to it."""


class LocalError(EciError):
    """This computer: no space, no permission, a file in the way."""

    exit_code = 9


def printable(text: object) -> str:
    """*text* with everything that is not a printable character escaped: controls (C0, C1, DEL), line ends, characters
    that turn the direction of writing round, and bytes that were not UTF-8.

    >>> printable("a\\x1b[31mb\\n")
    'a\\\\x1b[31mb\\\\n'
    """
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape", "surrogatepass").decode("ascii")
        for character in str(text)
    )


def one_line(text: object, limit: int = MAX_LINE) -> str:
    """*text* as one printable line of at most *limit* characters; of a longer one, the middle is left out.

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
    """A registry was reached, lets this user write, and will not have this manifest.

    *status* is the HTTP status, *code* the registry's word for it (`MANIFEST_INVALID`; "" where it said none),
    *reason* its sentence. A packer may try a manifest that strict registries know.
    """

    def __init__(self, message: str, *, status: int, code: str = "", reason: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.reason = reason


class UploadLostError(TransportError):
    """An upload cannot go on where it was, and its bytes have gone by: send the blob again from its first byte."""


def quoted_list(names: Iterable[str], limit: int = 20) -> str:
    """At most *limit* of *names* in one line, each quoted and escaped: they may come from images.

    >>> quoted_list("abc", limit=2)
    "'a', 'b' and 1 more"
    """
    every = list(names)
    rest = f" and {len(every) - limit} more" if len(every) > limit else ""
    return ", ".join(map(repr, every[:limit])) + rest

"""Ids of images, by one rule in every store: all 64 digits or the first of them, with or without `sha256:` in front.

A name comes before an id that is spelt alike, as in Docker and podman; a whole id, and whatever begins with `sha256:`,
is never a name. Digits that begin several ids mean none of them.
"""

from __future__ import annotations

import re
from typing import Final

from eci_convert.errors import UsageError
from eci_convert.oci.digest import Digest

_SAID: Final = re.compile(r"sha256:([0-9a-f]{1,64})|([0-9a-f]{64})", re.ASCII)
_WHOLE: Final = re.compile(r"sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128}", re.ASCII)
_POSSIBLE: Final = re.compile(r"(?:sha256:)?([0-9a-f]{3,64})|sha256:([0-9a-f]{1,2})", re.ASCII)


def is_id(text: str) -> bool:
    """Whether *text* can be nothing but an id, or the beginning of one.

    >>> is_id("sha256:0123"), is_id("0123456789ab" + 52 * "c"), is_id("0123456789ab")
    (True, True, False)
    """
    return bool(_SAID.fullmatch(text))


def digits(text: str) -> str:
    """The first digits of the id that *text* may be; "" if it is none. At least three, without `sha256:` before them
    (containers/image, storage_transport.go).

    >>> digits("0123456789ab"), digits("sha256:0"), digits("machine"), digits("ab")
    ('0123456789ab', '0', '', '')
    """
    match = _POSSIBLE.fullmatch(text)
    return (match[1] or match[2]) if match else ""


def may_be_digest(text: str) -> bool:
    """Whether *text* is spelt as a whole digest.

    >>> may_be_digest("sha256:" + 64 * "0"), may_be_digest("sha512:" + 128 * "0"), may_be_digest("sha256:0")
    (True, True, False)
    """
    return bool(_WHOLE.fullmatch(text))


def is_id_prefix(text: str, digest: Digest) -> bool:
    """Whether *text* is the beginning of the id that *digest* is, with or without `sha256:`.

    >>> is_id_prefix("e3b0c44298fc", Digest.of(b"")), is_id_prefix("sha256:e3b0", Digest.of(b""))
    (True, True)
    """
    beginning = digits(text)
    return bool(beginning) and digest.algorithm == "sha256" and digest.hex.startswith(beginning)


def check_is_name(text: str) -> None:
    """Raises UsageError if an image that is stored under *text* could not be found again, because it is an id."""
    if is_id(text):
        raise UsageError(f"{text!r} is an id: an image is stored under a name")

"""Image ids, by one rule for all stores: all 64 digits or the first of them, with or without the prefix `sha256:`.

A name takes precedence over an abbreviated id of the same spelling, as in Docker and podman; a whole id, and anything
with the prefix `sha256:`, is never a name. Ambiguous abbreviations refer to no image.
"""

from __future__ import annotations

import re
from typing import Final

from eci_convert.errors import UsageError
from eci_convert.oci.digest import Digest

_DIGEST_LIKE: Final = re.compile(r"sha512:[0-9a-f]{1,128}", re.ASCII)
_ONLY_ID: Final = re.compile(r"sha256:([0-9a-f]{1,64})|([0-9a-f]{64})", re.ASCII)
_WHOLE: Final = re.compile(r"sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128}", re.ASCII)
_POSSIBLE: Final = re.compile(r"(?:sha256:)?([0-9a-f]{3,64})|sha256:([0-9a-f]{1,2})", re.ASCII)


def is_id(text: str) -> bool:
    """Whether *text* can only be an id, or an abbreviation of one.

    >>> is_id("sha256:0123"), is_id("0123456789ab" + 52 * "c"), is_id("0123456789ab")
    (True, True, False)
    """
    return bool(_ONLY_ID.fullmatch(text))


def digits(text: str) -> str:
    """The first digits of the id that *text* may be; "" if it is not one. At least three without `sha256:`
    (containers/image, storage_transport.go).

    >>> digits("0123456789ab"), digits("sha256:0"), digits("machine"), digits("ab")
    ('0123456789ab', '0', '', '')
    """
    match = _POSSIBLE.fullmatch(text)
    return (match[1] or match[2]) if match else ""


def may_be_digest(text: str) -> bool:
    """Whether *text* has the form of a whole digest.

    >>> may_be_digest("sha256:" + 64 * "0"), may_be_digest("sha512:" + 128 * "0"), may_be_digest("sha256:0")
    (True, True, False)
    """
    return bool(_WHOLE.fullmatch(text))


def is_id_prefix(text: str, digest: Digest) -> bool:
    """Whether *text* abbreviates the id *digest*, with or without `sha256:`.

    >>> is_id_prefix("e3b0c44298fc", Digest.of(b"")), is_id_prefix("sha256:e3b0", Digest.of(b""))
    (True, True)
    """
    prefix = digits(text)
    return bool(prefix) and digest.algorithm == "sha256" and digest.hex.startswith(prefix)


def check_is_name(text: str) -> None:
    """Raises UsageError if *text* is an id or a digest, so that an image stored under it could not be found again."""
    if is_id(text) or _DIGEST_LIKE.fullmatch(text):
        raise UsageError(f"{text!r} is an image id: an image needs a name to be stored")

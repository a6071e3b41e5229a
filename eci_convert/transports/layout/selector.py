"""Selects one of the images in a directory or file: `PATH[:NAME][@DIGEST]`.

The path may contain colons: the longest prefix that exists is used, or else what precedes the first colon, as with
skopeo. NAME is the value of one of the annotations that tools write, literally or as Docker expands it; `@0`, `@1` … is
the position in the index, counted from 0, as with skopeo. A digest takes precedence over the name before it;
`PATH:sha256:HEX` is a digest too, and a name that matches no image may be an abbreviated id.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Self

from eci_convert.errors import FormatError, NotFoundError, UnsupportedImageError, UsageError
from eci_convert.oci.annotations import IMAGE_NAME, REF_NAME
from eci_convert.oci.descriptor import Descriptor
from eci_convert.oci.digest import Digest
from eci_convert.oci.reference import Reference
from eci_convert.transports.ids import check_is_name, digits, is_id, may_be_digest
from eci_convert.transports.tar_store.reader import STANDARD

_DIGEST = re.compile(r"(.*)@((?:sha256|sha512):[0-9a-zA-Z]*)", re.ASCII | re.DOTALL)
_POSITION = re.compile(r"@([0-9]{1,4})", re.ASCII)
_WRITABLE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:@+/-]{0,511}", re.ASCII)
_SHOWN = 20
_SHOWN_NAMES = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageSelector:
    """The parsed text behind the path. The first three are empty if the location has to contain a single image;
    *is_id*: the digest is written as an id, in the place of a name."""

    text: str = ""
    digest: Digest | None = None
    position: int | None = None
    is_id: bool = field(default=False, compare=False, repr=False)

    @classmethod
    def parse(cls, text: str) -> Self:
        """The name, digest or position in *text*. Raises UsageError for an invalid digest."""
        if position := _POSITION.fullmatch(text):
            return cls(position=int(position[1]))
        if may_be_digest(text):
            return cls(digest=_digest(text), is_id=True)
        split = _DIGEST.fullmatch(text)
        if not split:
            return cls(text=text)
        return cls(text=split[1].removesuffix(":"), digest=_digest(split[2]))

    def __str__(self) -> str:
        if self.position is not None:
            return f"@{self.position}"
        return self.text + (f"@{self.digest}" if self.digest else "")

    def writable(self) -> Self:
        """The selector itself, if an image can be stored under it. Raises UsageError."""
        if self.position is not None:
            raise UsageError(f"'@{self.position}' is a position in the index, which cannot be written to")
        if self.is_id:
            raise UsageError(f"'{self.digest}' is an id, not a name to store an image under")
        check_is_name(self.text)
        if self.text and not _WRITABLE.fullmatch(self.text):
            raise UsageError(f"{self.text!r} is not a valid image name (image-spec v1.1.1, annotations.md, ref.name)")
        return self


def split_path(text: str, exists: Callable[[str], bool]) -> tuple[str, ImageSelector]:
    """The path in *text*, and the selector behind it. *exists*: whether a path exists and is of the right kind.

    >>> split_path("dir:a:b", {"dir:a"}.__contains__)
    ('dir:a', ImageSelector(text='b', digest=None, position=None))
    >>> split_path("dir:a:b", set().__contains__)[0]
    'dir'
    """
    if "\0" in text:
        raise UsageError(f"{text!r} is not a valid path")
    if exists(text):
        return text, ImageSelector()
    digest = _DIGEST.fullmatch(text)
    head, tail = (digest[1], "@" + digest[2]) if digest else (text, "")
    colons = [place for place, character in enumerate(head) if character == ":"]
    for end in (len(head), *reversed(colons)):
        if exists(head[:end]):
            return head[:end], ImageSelector.parse(head[end + 1 :] + tail)
    path, _, name = head.partition(":")
    if not path:
        raise UsageError(f"{text!r} has no file name")
    return path, ImageSelector.parse(name + tail)


def select_entries(entries: Sequence[Descriptor], name: ImageSelector) -> tuple[Descriptor, ...]:
    """Those of *entries* of an index.json that *name* matches, each digest once.

    The first of these rules that matches anything applies: the annotations literally, `NAME@DIGEST` as the original
    `eci` wrote it (docs/specs/eci.md#D5), names as Docker expands them, and last the first digits of digests.
    """
    if name.position is not None:
        return tuple(entries[name.position : name.position + 1])
    if name.digest:
        return distinct(entry for entry in entries if entry.digest == name.digest)
    if not name.text:
        return distinct(entries)
    prefix = digits(name.text)
    rules: tuple[Callable[[Descriptor], bool], ...] = (
        lambda entry: entry.annotations.get(REF_NAME) == name.text,
        lambda entry: entry.annotations.get(IMAGE_NAME) == name.text,
        lambda entry: entry.annotations.get(REF_NAME) == f"{name.text}@{entry.digest}",
        lambda entry: bool(_full(name.text)) and _full(name.text) in _expanded_names(entry),
        lambda entry: bool(prefix) and entry.digest.hex.startswith(prefix),
    )
    if is_id(name.text):
        rules = rules[-1:]
    for rule in rules:
        if matches := distinct(entry for entry in entries if rule(entry)):
            return matches
    return ()


def distinct(entries: Iterable[Descriptor]) -> tuple[Descriptor, ...]:
    """*entries*, each digest once."""
    return tuple({entry.digest: entry for entry in entries}.values())


def no_match_error(origin: str, entries: Sequence[Descriptor], name: ImageSelector) -> NotFoundError:
    """The error for a name that matches nothing, listing the available images."""
    error = NotFoundError(f"{origin}: no image {str(name)!r}" if str(name) else f"{origin}: it contains no image")
    if entries:
        error.add_note(f"hint: it contains {_images(entries)}")
    return error


def ambiguous_error(
    origin: str, matches: Sequence[Descriptor], name: ImageSelector, entries: Sequence[Descriptor] = ()
) -> UnsupportedImageError:
    """The error for a name that matches several images, listed with the names that *entries* have for them."""
    digests = {entry.digest for entry in matches}
    what = (
        f"{str(name)!r} is ambiguous, it matches {len(digests)} images"
        if str(name)
        else f"{len(digests)} images: a name is required"
    )
    named = [entry for entry in entries or matches if entry.digest in digests]
    error = UnsupportedImageError(f"{origin}: {what}: {_images(named)}")
    error.add_note("hint: append :NAME or :@DIGEST")
    return error


def _images(entries: Sequence[Descriptor]) -> str:
    """The images in *entries*, each once: by its names, or by its digest if it has none."""
    names: dict[Digest, list[str]] = {}
    for entry in entries:
        called = names.setdefault(entry.digest, [])
        name = entry.annotations.get(IMAGE_NAME) or entry.annotations.get(REF_NAME)
        if name and name not in called:
            called.append(name)
    texts = [
        " = ".join(map(repr, called[:_SHOWN_NAMES] or [f"@{digest}"]))
        for digest, called in list(names.items())[:_SHOWN]
    ]
    rest = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(texts) + rest


def same_reference(one: str, other: str) -> bool:
    """Whether Docker treats two names as equal: `ubuntu` and `docker.io/library/ubuntu:latest`."""
    return one == other or (bool(_full(one)) and _full(one) == _full(other))


def _expanded_names(entry: Descriptor) -> set[str]:
    names = (entry.annotations.get(key, "") for key in (REF_NAME, IMAGE_NAME))
    return {_full(name) for name in names if name}


def _full(name: str) -> str:
    """*name* as expanded by Docker, without a digest; "" if it is not a valid name for Docker."""
    try:
        reference = Reference.parse(name)
    except UsageError:
        return ""
    return f"{reference.name}:{reference.tag}" if reference.tag else ""


def _digest(text: str) -> Digest:
    try:
        return Digest.parse(text)
    except FormatError as error:
        raise UsageError(str(error)) from error


def may_be_archive(path: str) -> bool:
    """Whether *path* exists and may be an archive."""
    return path == STANDARD or (os.path.exists(path) and not os.path.isdir(path))


def reference_text(scheme: str, path: str, name: ImageSelector) -> str:
    """The reference as a user would write it."""
    text = str(name)
    return f"{scheme}:{path}:{text}" if text else f"{scheme}:{path}"

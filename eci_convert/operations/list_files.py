"""The files of an image: as its layers show them together, or, of an artifact, its layers by their titles."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from eci_convert.dialects import part_labels
from eci_convert.errors import MissingPartError, UsageError
from eci_convert.oci.annotations import TITLE
from eci_convert.oci.digest import Digest
from eci_convert.oci.image import ImageMetadata
from eci_convert.oci.platform import Platform
from eci_convert.progress import NULL_REPORTER, Reporter
from eci_convert.reading.blobs import open_layer
from eci_convert.reading.images import load_image
from eci_convert.reading.layer_walk import attributed_errors
from eci_convert.rootfs.listing import LayerListing, ListedFile
from eci_convert.transports.base import Source

_LONGEST_GLOB: Final = 4096
_SPECIAL_IN_CLASS: Final = re.compile(r"[\\\[\]^&~|]")
_ESCAPE: Final = r"\\\g<0>"
_WILDCARDS: Final = re.compile(r"[*?[]")


@dataclass(frozen=True, slots=True, kw_only=True)
class FileEntry:
    """One line of a listing. *mode* and *link* are None for a layer of an artifact, whose *path* is its title and
    whose *kind* is "blob"; *blob* is the digest of the layer that the file is in, or is."""

    path: str
    kind: str
    mode: int | None
    size: int | None
    link: str | None
    blob: Digest | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """The files of the image that *image* is, and the reference under which it was found."""

    reference: str
    image: ImageMetadata
    files: tuple[FileEntry, ...]


def list_files(
    source: Source,
    pattern: str = "",
    *,
    platform: Platform | None = None,
    reporter: Reporter = NULL_REPORTER,
) -> Listing:
    """The files of the image that *source* names whose paths match *pattern*: all, if that is empty.

    In *pattern* `*`, `?` and `[…]` are within one name and `**` crosses directories; one without a slash is about
    names in any directory, one without wildcards about a file, or a directory and all in it.
    Raises MissingPartError where nothing matches, UsageError for a pattern that is none, FormatError for malformed and
    hostile layers, and what `load_image` raises.
    """
    matches = _matcher(pattern)
    image = load_image(source, platform)
    files = files_of(source, image, platform, reporter)
    matching = tuple(entry for entry in files if matches(entry.path))
    if pattern and not matching:
        raise MissingPartError(f"{source.origin} has no file that matches {pattern!r}")
    return Listing(reference=source.origin, image=image, files=matching)


def files_of(
    source: Source, image: ImageMetadata, platform: Platform | None = None, reporter: Reporter = NULL_REPORTER
) -> Iterator[FileEntry]:
    """All files of *image*, which *source* holds: paths in order, or the titles of an artifact's layers."""
    return _titles(image) if part_labels.is_artifact(image) else _filesystem(source, image, platform, reporter)


def _titles(image: ImageMetadata) -> Iterator[FileEntry]:
    for layer in image.manifest.layers:
        title = layer.annotations.get(TITLE) or str(layer.digest)
        yield FileEntry(path=title, kind="blob", mode=None, size=layer.size, link=None, blob=layer.digest)


def _filesystem(
    source: Source, image: ImageMetadata, platform: Platform | None, reporter: Reporter
) -> Iterator[FileEntry]:
    unpacked = source.filesystem()
    if unpacked is not None:  # an engine that hands out single files, and layers only in the saved image
        source = unpacked.full_image()
        image = load_image(source, platform)
    layers = list({layer.digest: layer for layer in reversed(image.manifest.layers)}.values())
    listing = LayerListing()
    for layer in layers:
        with open_layer(source, layer, reporter, through=listing.input) as entries, attributed_errors(layer):
            listing.add_layer(entries)
    for file in listing.files():
        yield _entry(file, layers[file.layer].digest if file.layer is not None and file.layer < len(layers) else None)


def _entry(file: ListedFile, blob: Digest | None) -> FileEntry:
    return FileEntry(path=file.path, kind=file.kind, mode=file.mode, size=file.size, link=file.link, blob=blob)


def _matcher(pattern: str) -> Callable[[str], bool]:
    """Whether a path matches *pattern*. Raises UsageError."""
    if not pattern:
        return lambda path: True
    if len(pattern) > _LONGEST_GLOB:
        raise UsageError(f"a pattern of {len(pattern)} characters (limit {_LONGEST_GLOB})")
    wanted = pattern.removeprefix("./").strip("/")
    if not _WILDCARDS.search(pattern):
        return lambda path: path.strip("/") == wanted or path.strip("/").startswith(wanted + "/") or not wanted
    try:
        expression = re.compile(_expression(wanted), re.DOTALL)
    except re.error as error:
        raise UsageError(f"{pattern!r} is not a pattern: {error}") from error
    if "/" not in pattern:
        return lambda path: expression.fullmatch(path.rpartition("/")[2]) is not None
    return lambda path: expression.fullmatch(path.strip("/")) is not None


def _expression(pattern: str) -> str:
    words: list[str] = re.findall(r"\*\*/?|\*|\?|\[!?\]?[^\]]*\]|.", pattern, re.DOTALL)
    at_names = all(before in ("/", "**/") for before, word in pairwise(words) if word == "**/")
    return _joined(words, ("**/", "*")) if at_names and "**" not in words else "".join(map(_token, words))


def _joined(tokens: list[str], wildcards: tuple[str, ...]) -> str:
    """*tokens* as an expression that takes no time exponential in the number of *wildcards*, the coarsest first: what
    stands between two of a kind is looked for once, since the second covers whatever follows the first place."""
    if not wildcards:
        return "".join(map(_token, tokens))
    wildcard, *finer = wildcards
    pieces: list[list[str]] = [[]]
    for token in tokens:
        if token == wildcard:
            pieces.append([])
        else:
            pieces[-1].append(token)
    first, *others = (_joined(piece, tuple(finer)) for piece in pieces)
    between = (f"(?>{_token(wildcard)}?{piece})" for piece in others[:-1])
    return first + "".join(between) + "".join(_token(wildcard) + piece for piece in others[-1:])


def _token(token: str) -> str:
    match token:
        case "**/":
            return "(?:[^/]+/)*"
        case "**":
            return ".*"
        case "*":
            return "[^/]*"
        case "?":
            return "[^/]"
        case _ if len(token) > 1:
            negation, members = ("^", token[2:-1]) if token.startswith("[!") else ("", token[1:-1])
            return f"(?!/)[{negation}{_SPECIAL_IN_CLASS.sub(_ESCAPE, members)}]"
        case _:
            return re.escape(token)

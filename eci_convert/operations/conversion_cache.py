"""The results of earlier conversions, so that a repeated `copy --format` sends nothing.

A file for each conversion holds the digest of its result. It is used only while the destination's name still refers to
that digest and the destination has all its blobs. Nothing of this is written into an image: digests do not change.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from eci_convert._version import __version__
from eci_convert.compression.codec import Codec
from eci_convert.errors import EciError
from eci_convert.files.home import home as home_directory
from eci_convert.files.own_directory import OwnDirectory
from eci_convert.oci.descriptor import Descriptor
from eci_convert.oci.digest import Digest
from eci_convert.oci.manifest import Manifest
from eci_convert.operations.copy_request import CopyRequest
from eci_convert.pack.result import PushResult
from eci_convert.reading.manifests import manifests_of
from eci_convert.transports.base import Sink, Source

_NAMES = r"[0-9a-f]{64}\.json"
_MAX_FILE = 4096
_MAX_AGE = 30 * 24 * 3600
"""Seconds."""


def conversions_directory(environ: Mapping[str, str]) -> Path | None:
    """The directory of what is remembered in *environ* (XDG base directories); None if there is none."""
    state, home = environ.get("XDG_STATE_HOME", ""), home_directory(environ)
    base = Path(state) if Path(state).is_absolute() else Path(home, ".local/state")
    return base / "eci-convert" / "conversions" if base.is_absolute() else None


class ConversionCache:
    """The conversions remembered in *directory*; None remembers nothing. Files that cannot be read or written are
    treated as missing."""

    def __init__(self, directory: Path | None, warn: Callable[[str], None] = lambda _: None) -> None:
        self._directory = (
            OwnDirectory(base=directory.parents[1], names=directory.parts[-2:], warn=warn) if directory else None
        )

    def result_of(self, recipe: str) -> Digest | None:
        """The digest of the image that *recipe*, a result of `recipe_of`, made; None if unknown."""
        content = self._directory.read(f"{recipe}.json", _MAX_FILE) if self._directory else None
        with contextlib.suppress(EciError, ValueError, TypeError, KeyError):
            return Digest.parse(json.loads(content or b"{}")["digest"])
        return None

    def record(self, recipe: str, digest: Digest) -> None:
        """Remembers that *recipe* makes *digest*, for 30 days."""
        if self._directory:
            self._directory.write(f"{recipe}.json", json.dumps({"digest": str(digest)}).encode())
            self._directory.sweep(_NAMES, _MAX_AGE)


def recipe_of(
    descriptors: Sequence[Descriptor], sink: Sink, request: CopyRequest, codec: Codec, max_size: int | None
) -> str:
    """A name for all that a conversion depends on: the source's root and its chosen images (*descriptors*), the
    destination and whether a refused `artifactType` is an error there, the options, and this program's version."""
    words = [
        __version__, sink.destination, repr(sink.capabilities.artifact_types is True), repr(request), repr(codec),
        repr(max_size), *(str(descriptor.digest) for descriptor in descriptors),
    ]  # fmt: skip
    return hashlib.sha256(json.dumps(words).encode()).hexdigest()


def existing_result(existing: Source, sink: Sink, digest: Digest) -> PushResult | None:
    """The image that *existing* reads, if it has *digest* and *sink* has all its blobs; None if not, or if nothing can
    be determined."""
    try:
        if existing.resolve().digest != digest:
            return None
        documents = list(manifests_of(existing, None, everything=True, holds_indexes=True))
        blobs = {blob.digest: blob for document in documents for blob in document.blobs}
        if not all(sink.has(blob) for blob in blobs.values()):
            return None
    except EciError:
        return None
    root = documents[-1]
    manifests = [document.value for document in documents if isinstance(document.value, Manifest)]
    return PushResult(
        descriptor=root.descriptor,
        manifest=manifests[0] if len(manifests) == 1 else root.value,
        bytes_sent=0,
        bytes_reused=sum(blob.size for blob in blobs.values()) + sum(len(document.text) for document in documents),
    )

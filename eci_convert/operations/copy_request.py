"""CopyRequest: the images to copy, and their format."""

from __future__ import annotations

from dataclasses import dataclass

from eci_convert.compression.codec import Codec, Compression
from eci_convert.dialects.blueprint import WriteOptions
from eci_convert.errors import UsageError
from eci_convert.oci.platform import Platform

KEEP = "keep"
"""The format that keeps every byte."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CopyRequest:
    """Which images are copied, and as what.

    *format* "keep" preserves every byte and digest of the manifests, configs and blobs. With a *codec* layers that are
    not compressed are; without one, those that no manifest lists, as engines keep them, on their way to a registry,
    with gzip: configs stay, and image ids. Any other *format* is the name of a row of `WRITERS`: the image is read as
    *dialect*, or as the one that recognises it, and written with *write*, its layers compressed with *codec*, or gzip.
    Of an index, the image for *platform* is copied, or with *all_platforms* every one; without both, an index that is
    one thing (of one entry, KraftKit's, a bundle) is kept whole. *referrers* takes along what refers to the image
    (signatures, SBOMs).
    """

    format: str = KEEP
    platform: Platform | None = None
    all_platforms: bool = False
    referrers: bool = False
    dialect: str = ""
    write: WriteOptions | None = None
    codec: Codec | None = None

    def check(self) -> None:
        """Raises UsageError for contradictions."""
        if self.all_platforms and self.platform:
            raise UsageError(f"the image for {self.platform} and all images of an index exclude each other")
        if self.referrers and self.format != KEEP:
            raise UsageError(
                "referrers are copied with the format keep alone: what refers to an image refers to its digest"
            )
        if self.referrers and self.codec and self.codec.compression is not Compression.NONE:
            error = UsageError("referrers are copied with every digest kept, and another compression changes digests")
            error.add_note("hint: leave --compression away")
            raise error
        write = self.write
        if self.format == KEEP and write and (write.labels or write.annotations or write.extra_dialects):
            error = UsageError(
                "labels, annotations and further dialects change an image, and `keep` keeps every byte of it"
            )
            error.add_note("hint: use --format legacy, or another one")
            raise error

"""PushResult: what a push or a copy wrote."""

from __future__ import annotations

from dataclasses import dataclass

from eci_convert.dialects.blueprint import IndexSpec
from eci_convert.oci.descriptor import Descriptor
from eci_convert.oci.digest import Digest
from eci_convert.oci.index import Index
from eci_convert.oci.manifest import Manifest


@dataclass(frozen=True, slots=True, kw_only=True)
class PushResult:
    """What was written. *descriptor* is what the name stands for now, and would, after a dry run; *reference* is where
    that can be read. Where nothing was published, *descriptor* is the image's entry in an index. Sizes in bytes:
    *bytes_reused* are of blobs that were there and were not sent. *index_spec* is the index that images of this dialect
    are put into, if any.
    """

    descriptor: Descriptor
    manifest: Manifest | Index
    bytes_sent: int
    bytes_reused: int
    reference: str = ""
    index_spec: IndexSpec | None = None

    @property
    def digest(self) -> Digest:
        """The digest that the name stands for now."""
        return self.descriptor.digest

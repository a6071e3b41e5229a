"""Wrong sizes in an index: KraftKit writes one for every entry that it did not just make (docs/specs/unikraft.md#13 and
docs/specs/unikraft.md#K2).

The digest alone decides there, and what it is the digest of.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from eci_convert.dialects.container_images import unikraft
from eci_convert.errors import LimitExceededError, SizeMismatchError
from eci_convert.oci.descriptor import Descriptor

_ATTEMPTS = 64


def with_right_size(entry: Descriptor, read: Callable[[Descriptor], bytes]) -> Descriptor:
    """*entry* with its true size and its document in *data*, if its declared size is wrong; else unchanged.

    *read* gives the verified document of a descriptor. Raises LimitExceededError, and what *read* raises.
    """
    if not unikraft.has_false_size(entry):
        return entry
    right = entry
    for _ in range(_ATTEMPTS):
        try:
            return replace(right, data=read(right))
        except SizeMismatchError as error:
            if error.actual <= right.size:
                raise
            right = replace(right, size=error.actual)  # read in pieces, the document may be longer still
    raise LimitExceededError("its size is not to be found out", where=f"manifest {entry.digest.short}")

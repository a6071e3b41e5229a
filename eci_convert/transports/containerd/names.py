"""Names of containerd's image records, from what a user writes.

containerd has no short names; Docker, nerdctl and Kubernetes expand them before they call it, and so do we: `machine:1`
is written as the record `docker.io/library/machine:1`. For reading, the exact text is tried first. The original `eci`
names a record NAME@DIGEST instead of NAME (docs/specs/eci.md#D5): that is found too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from eci_convert.errors import FormatError, UsageError
from eci_convert.oci.digest import Digest
from eci_convert.oci.reference import Reference
from eci_convert.transports.ids import check_is_name


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordName:
    """*text* as given; *name* is *text* without *digest*, "" for a digest alone."""

    text: str
    name: str
    digest: Digest | None

    @classmethod
    def parse(cls, text: str) -> Self:
        """The name *text*, parsed. Raises UsageError for an invalid digest."""
        digest_only = _digest(text)
        if digest_only:
            return cls(text=text, name="", digest=digest_only)
        name, at, digits = text.rpartition("@")
        if not at:
            return cls(text=text, name=text, digest=None)
        digest = _digest(digits)
        if digest is None or not name:
            raise UsageError(f"{digits!r} in {text!r} is not a digest")
        return cls(text=text, name=name, digest=digest)

    def records(self) -> tuple[str, ...]:
        """The names of records to look for, in this order."""
        names = [self.text, self.name, _expanded(self.name)] if self.name else [self.text]
        return tuple(dict.fromkeys(names))

    def written(self) -> str:
        """The name of the record to write. Raises UsageError for an invalid image name."""
        if not self.name:
            raise UsageError(f"{self.text!r} is a digest: an image needs a name")
        check_is_name(self.text)
        return Reference.parse(self.text).store_name

    def by_eci(self, records: Sequence[str]) -> tuple[str, ...]:
        """Those of *records* that the original `eci` would have written for this name."""
        names = {f"{name}@" for name in self.records() if name}
        return tuple(record for record in records if record.rpartition("@")[0] + "@" in names)

    def of_repository(self, records: Sequence[str]) -> tuple[str, ...]:
        """Those of *records* in the same repository, whatever their tag; all, for a digest alone."""
        if not self.name:
            return tuple(records)
        return tuple(record for record in records if _repository(record) == _repository(self.name))


def _digest(text: str) -> Digest | None:
    try:
        return Digest.parse(text)
    except FormatError:
        return None


def _expanded(name: str) -> str:
    try:
        return str(Reference.parse(name))
    except UsageError:
        return name


def _repository(name: str) -> str:
    try:
        return Reference.parse(name).name
    except UsageError:
        return name

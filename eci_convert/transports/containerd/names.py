"""What a user's words may stand for among containerd's image records, which go by their exact names.

containerd itself knows no short names; Docker, nerdctl and Kubernetes spell them out before they ask it, and so do we:
what is written under `machine:1` is the record `docker.io/library/machine:1`. Reading finds the exact words first. The
original `eci` names a record NAME@DIGEST where NAME was meant (docs/specs/eci.md#D5): that is found too.
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
    """*text* as given; *name* is it without *digest*, "" where it was a digest alone."""

    text: str
    name: str
    digest: Digest | None

    @classmethod
    def parse(cls, text: str) -> Self:
        """The name that *text* spells. Raises UsageError for a digest that is none."""
        alone = _digest(text)
        if alone:
            return cls(text=text, name="", digest=alone)
        name, at, digits = text.rpartition("@")
        if not at:
            return cls(text=text, name=text, digest=None)
        digest = _digest(digits)
        if digest is None or not name:
            raise UsageError(f"{digits!r} in {text!r} is not a digest")
        return cls(text=text, name=name, digest=digest)

    def records(self) -> tuple[str, ...]:
        """The names of records that may be meant, the likeliest first."""
        spelt = [self.text, self.name, _full(self.name)] if self.name else [self.text]
        return tuple(dict.fromkeys(spelt))

    def written(self) -> str:
        """The name of the record to write. Raises UsageError for what is no name of an image."""
        if not self.name:
            raise UsageError(f"{self.text!r} is a digest: give the image a name")
        check_is_name(self.text)
        return Reference.parse(self.text).store_name

    def by_eci(self, records: Sequence[str]) -> tuple[str, ...]:
        """Those of *records* that the original `eci` would have written for this name."""
        spelt = {f"{name}@" for name in self.records() if name}
        return tuple(record for record in records if record.rpartition("@")[0] + "@" in spelt)

    def of_repository(self, records: Sequence[str]) -> tuple[str, ...]:
        """Those of *records* that are in the same repository, whatever their tag; all, for a digest alone."""
        if not self.name:
            return tuple(records)
        return tuple(record for record in records if _repository(record) == _repository(self.name))


def _digest(text: str) -> Digest | None:
    try:
        return Digest.parse(text)
    except FormatError:
        return None


def _full(name: str) -> str:
    try:
        return str(Reference.parse(name))
    except UsageError:
        return name


def _repository(name: str) -> str:
    try:
        return Reference.parse(name).name
    except UsageError:
        return name

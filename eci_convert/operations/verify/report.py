"""Report: the problems of an image, the worst of which is raised."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from eci_convert.errors import EciError, FormatError, IntegrityError, UnsupportedImageError
from eci_convert.oci.digest import Digest

_GRAVE = (IntegrityError, FormatError, UnsupportedImageError)
"""The gravest first; whatever is in no row comes last."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """Something is wrong with *subject*: a blob, a layer, a label, a part, a file."""

    subject: str
    error: EciError


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What was checked, and what is wrong. *notes* are odd and harmless. *size* is that of all blobs, in bytes.

    *diff_ids* are the right ones, by the digest of the layer.
    """

    reference: str
    digest: Digest
    images: int
    blobs: int
    size: int
    problems: tuple[Problem, ...] = ()
    notes: tuple[str, ...] = ()
    diff_ids: Mapping[Digest, Digest] = field(default_factory=dict, hash=False)

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems

    def raise_worst(self) -> None:
        """Raises the gravest of what is wrong: a digest before a malformed file before a label that leads nowhere."""
        if self.problems:
            raise min((problem.error for problem in self.problems), key=_rank)


def _rank(error: EciError) -> int:
    return next((place for place, kind in enumerate(_GRAVE) if isinstance(error, kind)), len(_GRAVE))

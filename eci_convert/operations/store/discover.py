"""Lists the referrers of an image, and theirs: signatures, SBOMs, build logs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from eci_convert.errors import LimitExceededError
from eci_convert.oci.descriptor import Descriptor
from eci_convert.oci.referrers import referrer
from eci_convert.reading.blobs import load_document
from eci_convert.transports.base import Source

_MAX_DEPTH = 8
_MAX_REFERRERS = 2000


@dataclass(frozen=True, slots=True, kw_only=True)
class Referrer:
    """A manifest that refers to another: of what type, with which annotations, and what refers to it in turn."""

    descriptor: Descriptor
    referrers: tuple[Referrer, ...] = ()

    @property
    def artifact_type(self) -> str:
        return self.descriptor.artifact_type

    @property
    def annotations(self) -> Mapping[str, str]:
        return self.descriptor.annotations


@dataclass(slots=True)
class _Budget:
    left: int = _MAX_REFERRERS
    seen: set[object] = field(default_factory=set)


def discover(source: Source, subject: Descriptor, artifact_type: str = "") -> tuple[Referrer, ...]:
    """What refers to *subject* in the place of *source*, sorted by type and digest, with all that refers to it.

    Only what is of *artifact_type*, if that is given, whatever it is that refers to it. Raises LimitExceededError for
    thousands, and what *source* raises.
    """
    found = _referrers(source, subject, _Budget(seen={subject.digest}), _MAX_DEPTH)
    return tuple(one for one in found if artifact_type in ("", one.artifact_type))


def _referrers(source: Source, subject: Descriptor, budget: _Budget, depth: int) -> tuple[Referrer, ...]:
    if not depth:
        raise LimitExceededError(f"referrers of referrers are nested more than {_MAX_DEPTH} deep", where=source.origin)
    entries = sorted(_described(source, subject), key=lambda entry: (entry.artifact_type, entry.digest))
    found = []
    for entry in entries:
        if entry.digest in budget.seen:
            continue
        budget.seen.add(entry.digest)
        budget.left -= 1
        if budget.left < 0:
            raise LimitExceededError(f"more than {_MAX_REFERRERS} referrers", where=source.origin)
        found.append(Referrer(descriptor=entry, referrers=_referrers(source, entry, budget, depth - 1)))
    return tuple(found)


def _described(source: Source, subject: Descriptor) -> Iterator[Descriptor]:
    """What *source* lists, with its type and annotations: where the list tells neither, the manifests do."""
    for entry in source.referrers(subject.digest):
        if entry.artifact_type:
            yield entry
        else:
            content = load_document(source, entry, f"manifest {entry.digest.short}")
            described = referrer(entry, content, subject.digest)
            yield replace(described or entry, data=None)

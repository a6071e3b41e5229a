"""Repositories from which a registry may mount a blob instead of being sent it again, as containerd notes them."""

from __future__ import annotations

from collections.abc import Mapping

from eci_convert.oci.reference import Reference, is_repository

_HINT = "containerd.io/distribution.source."
_MAX_TRIED = 4


def provenance(reference: Reference) -> dict[str, str]:
    """The annotation that says of a blob: the repository of *reference* has it."""
    return {_HINT + reference.host: reference.repository}


def repositories(reference: Reference, annotations: Mapping[str, str]) -> tuple[str, ...]:
    """Other repositories of that registry that may hold a blob with *annotations*."""
    names = dict.fromkeys(name.strip() for name in annotations.get(_HINT + reference.host, "").split(","))
    return tuple(name for name in names if is_repository(name) and name != reference.repository)[:_MAX_TRIED]

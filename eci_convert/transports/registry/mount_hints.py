"""Repositories from which a registry may mount a blob, annotated as containerd does."""

from __future__ import annotations

from collections.abc import Mapping

from eci_convert.oci.reference import Reference, is_repository

_HINT = "containerd.io/distribution.source."
_MAX_TRIED = 4


class MountHint(str):
    """Comma-separated repositories in which a source has just seen a blob.

    Annotations parsed from a manifest are plain strings and never of this type: an image must not choose the
    repositories that are accessed with the user's credentials.
    """

    __slots__ = ()


def mount_hints(reference: Reference) -> dict[str, str]:
    """The annotation for blobs that the repository of *reference* holds."""
    return {_HINT + reference.host: MountHint(reference.repository)}


def repositories(reference: Reference, annotations: Mapping[str, str]) -> tuple[str, ...]:
    """Other repositories of that registry that may hold a blob with *annotations*; only MountHint values count."""
    hint = annotations.get(_HINT + reference.host, "")
    if not isinstance(hint, MountHint):
        return ()
    names = dict.fromkeys(name.strip() for name in hint.split(","))
    return tuple(name for name in names if is_repository(name) and name != reference.repository)[:_MAX_TRIED]

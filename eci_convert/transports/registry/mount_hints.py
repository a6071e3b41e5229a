"""Repositories from which a registry may mount a blob instead of being sent it again, as containerd notes them."""

from __future__ import annotations

from collections.abc import Mapping

from eci_convert.oci.reference import Reference, is_repository

_HINT = "containerd.io/distribution.source."
_MAX_TRIED = 4


class MountHint(str):
    """Repositories, comma separated, in which a source of ours has just seen a blob.

    Annotations that were read from a document are plain text and never of this type: an image cannot say from where its
    blobs are taken in the user's name.
    """

    __slots__ = ()


def mount_hints(reference: Reference) -> dict[str, str]:
    """The annotation that says of a blob: the repository of *reference* has it."""
    return {_HINT + reference.host: MountHint(reference.repository)}


def repositories(reference: Reference, annotations: Mapping[str, str]) -> tuple[str, ...]:
    """Other repositories of that registry that may hold a blob with *annotations*, of which only hints count."""
    hint = annotations.get(_HINT + reference.host, "")
    if not isinstance(hint, MountHint):
        return ()
    names = dict.fromkeys(name.strip() for name in hint.split(","))
    return tuple(name for name in names if is_repository(name) and name != reference.repository)[:_MAX_TRIED]

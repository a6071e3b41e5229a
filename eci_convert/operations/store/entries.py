"""Entries of an index: images by platform, with the attestations that belong to them. No I/O.

One index has one image for a platform, with the features that the platform's kernel has: KraftKit compares them before
it has set them, and so appends what it should replace (docs/specs/unikraft.md#13 and docs/specs/unikraft.md#K3).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from eci_convert.errors import NotFoundError, UsageError
from eci_convert.oci import media_types
from eci_convert.oci.descriptor import Descriptor
from eci_convert.oci.digest import Digest
from eci_convert.oci.index import Index
from eci_convert.oci.platform import Platform, matches
from eci_convert.transports.ids import is_id_prefix

_SUBJECT = "vnd.docker.reference.digest"
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
_VARIANTS = {"arm": "v7", "arm64": "v8", "amd64": "v1"}


def is_attestation(entry: Descriptor) -> bool:
    """Whether *entry* is BuildKit's about another one."""
    return _SUBJECT in entry.annotations


def with_attestations(index: Index, images: Iterable[Descriptor]) -> tuple[Descriptor, ...]:
    """*images*, which *index* lists, and what it attests of them; in its order."""
    wanted = {entry.digest for entry in images}
    return tuple(
        entry
        for entry in index.manifests
        if entry.digest in wanted or entry.annotations.get(_SUBJECT) in set(map(str, wanted))
    )


def merged(kept: Sequence[Descriptor], new: Sequence[Descriptor]) -> tuple[Descriptor, ...]:
    """*kept* without those whose platforms *new* has too, and without what is attested of them; then *new*."""
    platforms = {_key(entry) for entry in new if not is_attestation(entry)}
    digests = {entry.digest for entry in new}
    stay = [entry for entry in kept if not is_attestation(entry) and _key(entry) not in platforms]
    subjects = {str(entry.digest) for entry in (*stay, *new)}
    attested = [
        entry
        for entry in kept
        if is_attestation(entry) and entry.digest not in digests and entry.annotations[_SUBJECT] in subjects
    ]
    return (*stay, *attested, *new)


def without(entries: Sequence[Descriptor], platform: Platform | None, digest: str) -> tuple[Descriptor, ...]:
    """*entries* without the one for *platform*, or whose id begins with *digest*, and without what is attested of it.

    Raises NotFoundError where there is none, and UsageError where it may be one of several.
    """
    images = [entry for entry in entries if not is_attestation(entry)]
    chosen = [
        entry
        for entry in images
        if (digest and (digest == str(entry.digest) or is_id_prefix(digest, entry.digest)))
        or (platform and entry.platform and matches(entry.platform, platform))
    ]
    exact = [entry for entry in chosen if entry.platform and platform and entry.platform.variant == platform.variant]
    chosen = exact or chosen
    if not chosen:
        error = NotFoundError(f"the index has no image {'for ' + str(platform) if platform else digest}")
        error.add_note(f"hint: it has {', '.join(_label(entry) for entry in images) or 'none'}")
        raise error
    if len({entry.digest for entry in chosen}) > 1:
        several = UsageError(
            f"{platform or digest} is {len(chosen)} images of the index: {', '.join(map(_label, chosen))}"
        )
        several.add_note("hint: say which with --digest")
        raise several
    return _without_digests(entries, {chosen[0].digest})


def check_distinct_platforms(named: Sequence[tuple[str, Descriptor]]) -> None:
    """Raises UsageError where two of the images that are *named* are for one platform, unless they are one image."""
    seen: dict[tuple[object, ...], tuple[str, Digest]] = {}
    for name, entry in named:
        if is_attestation(entry):
            continue
        other, digest = seen.setdefault(_key(entry), (name, entry.digest))
        if digest != entry.digest:
            raise UsageError(f"{other} and {name} are both for {entry.platform}")


def index_type(entries: Iterable[Descriptor]) -> str:
    """The media type of an index of *entries*: Docker's where they all are Docker's."""
    kinds = {entry.media_type for entry in entries}
    return media_types.DOCKER_LIST if kinds == {media_types.DOCKER_MANIFEST} else media_types.OCI_INDEX


def _without_digests(entries: Iterable[Descriptor], digests: set[Digest]) -> tuple[Descriptor, ...]:
    """*entries* without those of *digests*, and without their attestations."""
    names = set(map(str, digests))
    return tuple(
        entry for entry in entries if entry.digest not in digests and entry.annotations.get(_SUBJECT) not in names
    )


def _key(entry: Descriptor) -> tuple[object, ...]:
    """What makes two entries be for one platform. An image that is for none is alone of its kind."""
    platform = entry.platform
    if platform is None:
        return (entry.digest,)
    architecture = _ARCHITECTURES.get(platform.architecture, platform.architecture)
    variant = platform.variant or _VARIANTS.get(architecture, "")
    return (platform.os, architecture, variant, platform.os_version, frozenset(platform.os_features))


def _label(entry: Descriptor) -> str:
    return f"{entry.platform or '(no platform)'} {entry.digest.short}"


def without_data(entry: Descriptor) -> Descriptor:
    """*entry* as an index lists it: without the document that it may carry."""
    return replace(entry, data=None)

"""Copies every image of a bundle into one repository, and records in the bundle what it is there."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from eci_convert.cnab.bundle import Bundle
from eci_convert.cnab.images import FoundImage, ImageFinder, check_image, copy_image, filtered
from eci_convert.cnab.registries import Registries
from eci_convert.cnab.relocation import image_key, relocated
from eci_convert.errors import EciError, IntegrityError, UsageError
from eci_convert.oci.descriptor import Descriptor
from eci_convert.oci.platform import Platform
from eci_convert.oci.reference import Reference
from eci_convert.options import TransferOptions

INVOCATION = "InvocationImage"
"""What the invocation image is called in messages, where components have their names."""


class Events(Protocol):
    """Told which image is being worked on, by the name under which it is looked for."""

    def started(self, image: str) -> None: ...

    def completed(self, image: str) -> None: ...

    def failed(self, image: str, error: EciError) -> None: ...


class NoEvents:
    """Reports nothing."""

    def started(self, image: str) -> None: ...

    def completed(self, image: str) -> None: ...

    def failed(self, image: str, error: EciError) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class FixupOptions:
    """*auto_update*: the bundle gets the digests, sizes and media types that were found, instead of being held against
    them. *use_engine*: images that no registry has are pushed from the local engine. *relocation_map*: where images
    are, if they are not where the bundle has them. Platforms: what is kept of an image of several; none keeps all.
    *dry_run*: images are looked for and checked, and none is copied."""

    auto_update: bool = False
    use_engine: bool = False
    invocation_platforms: tuple[Platform, ...] = ()
    component_platforms: tuple[Platform, ...] = ()
    relocation_map: Mapping[str, str] = field(default_factory=dict, hash=False)
    dry_run: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class FixedBundle:
    """A bundle whose images are all in one repository, and its relocation map."""

    bundle: dict[str, Any]
    relocation_map: dict[str, str]


def fixup(
    bundle: Bundle,
    target: Reference,
    registries: Registries,
    options: FixupOptions | None = None,
    events: Events | None = None,
) -> FixedBundle:
    """Copies the images of *bundle* into the repository of *target*, each under its digest.

    Raises UsageError for a bundle that cannot be fixed, IntegrityError for an image that is not the one that the bundle
    promises, and what the registries raise. Images that were copied by then stay.
    """
    options, events = options or FixupOptions(), events or NoEvents()
    result = deepcopy(dict(bundle))
    invocation = result.get("invocationImages") or []
    if len(invocation) != 1:
        raise UsageError(f'only one invocation image supported for bundle "{target.familiar}"')
    work = _Fixup(target, registries, options, events)
    work.image(invocation[0], INVOCATION, options.invocation_platforms)
    components = result.get("images") or {}
    for name in sorted(components):
        work.image(components[name], name, options.component_platforms)
    return FixedBundle(bundle=result, relocation_map=work.relocation_map)


class _Fixup:
    def __init__(self, target: Reference, registries: Registries, options: FixupOptions, events: Events) -> None:
        self._target = target
        self._registries = registries
        self._options = options
        self._events = events
        self._finder = ImageFinder(
            registries=registries,
            target=target,
            use_engine=options.use_engine,
            trust_digests=not options.auto_update,
            dry_run=options.dry_run,
        )
        self.relocation_map = dict(options.relocation_map)

    def image(self, image: dict[str, Any], service: str, platforms: tuple[Platform, ...]) -> None:
        """Copies *image* and brings it up to date."""
        name = str(image.get("image") or "")
        place = self.relocation_map.get(name, "") if name else ""
        self._events.started(place or name)
        try:
            check_image(image, service)
            with self._finder.find(image, service, self._source_place(name, place)) as found:
                self._fix(image, found, platforms)
        except _Differs as difference:
            raise difference.error from None
        except EciError as error:
            self._events.failed(place or name, error)
            raise
        self._events.completed(place or name)

    def _source_place(self, name: str, place: str) -> str:
        """Where to look for the image *name*, which the map has at *place*: where an earlier image of that name came to
        be, unless a part of it alone may have come there."""
        filters = self._options.invocation_platforms or self._options.component_platforms
        return self._options.relocation_map.get(name, "") if filters else place

    def _fix(self, image: dict[str, Any], found: FoundImage, platforms: tuple[Platform, ...]) -> None:
        if not self._options.auto_update:
            _check_promises(image, found.root)
        index = filtered(found, platforms)
        root = index.descriptor if index else found.root
        if self._options.auto_update or index:
            image |= {"contentDigest": str(root.digest), "size": root.size, "mediaType": root.media_type}
        copies = not self._options.dry_run and (index or not (found.is_copied or self._is_in_target(found)))
        if copies:
            settings = self._registries.settings
            with self._registries.sink(replace(self._target, tag="", digest=root.digest)) as sink:
                options = TransferOptions(reporter=settings.reporter, concurrency=settings.concurrency)
                copy_image(found, index, sink, options)
        self.relocation_map[image_key(image)] = relocated(self._target, root.digest)

    def _is_in_target(self, found: FoundImage) -> bool:
        return found.reference is not None and found.reference.name == self._target.name


class _Differs(EciError):
    """An image that was found is not the one that the bundle promises."""

    def __init__(self, error: EciError) -> None:
        super().__init__(str(error))
        self.error = error


def _check_promises(image: Bundle, root: Descriptor) -> None:
    """Raises _Differs unless *image* promises what *root* is."""
    promises = (
        ("digest", f'"{image.get("contentDigest") or ""}"', f'"{root.digest}"'),
        ("size", str(image.get("size") or 0), str(root.size)),
        ("media type", f'"{image.get("mediaType") or ""}"', f'"{root.media_type}"'),
    )
    for what, promised, actual in promises:
        if promised != actual:
            text = f'image "{image.get("image") or ""}" {what} differs {promised} after fixup: {actual}'
            absent = promised in ('""', "0")
            error: EciError = UsageError(text) if absent else IntegrityError(text)
            error.add_note("hint: --auto-update-bundle writes what was found into the bundle")
            raise _Differs(error)

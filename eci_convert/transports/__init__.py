"""Transports: where images are read from and written to. Each row of `schemes.SCHEMES` is one transport.
To add one: docs/contributing/add-a-transport.md.

schemes.py           SCHEMES, parse_reference: the syntax of references
base.py              Source, Sink, Catalog, ContainerFiles: the interface of all transports
traits.py            SourceTraits, SinkCapabilities: what each transport can do
settings.py          Settings: how a transport is accessed
registry/            docker://
docker_daemon/       docker-daemon:       the Docker engine
containerd/          containerd:
layout/              oci: oci-archive:    an OCI image layout in a directory, or in a tar archive
docker_archive/      docker-archive:      what docker save writes
containers_storage/  containers-storage:  podman, buildah, CRI-O
memory.py            in this process: for tests and temporary images
credentials/         credentials for registries: files and helpers of docker login
tar_store/           a tar archive as storage
verified_input.py    VerifiedInput: what every sink reads through
ids.py               image ids and their abbreviations
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from importlib import import_module
from typing import TYPE_CHECKING, Any, Literal

from eci_convert.errors import CannotHoldError, UsageError
from eci_convert.transports.base import Catalog, Sink, Source, two_registries
from eci_convert.transports.schemes import SCHEMES, Scheme, closest_transport, default_transport, parse_reference
from eci_convert.transports.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

__all__ = [
    "SCHEMES", "Access", "Scheme", "closest_transport", "default_transport", "image_name", "open_sink", "open_source",
    "parse_reference",
]  # fmt: skip

Access = Literal["read", "write"]


def image_name(text: str, default: str = "") -> str:
    """The name of the image in the reference *text*, without the transport and location; "" if there is none.
    *default* is the transport of a bare name.

    >>> image_name("docker://localhost:5000/edge:1"), image_name("oci:layout:edge"), image_name("oci:layout")
    ('localhost:5000/edge:1', 'edge', '')
    """
    from eci_convert.transports.layout.selector import split_path

    scheme, rest = parse_reference(text, default)
    if scheme.archive:
        return split_path(rest, lambda path: path == "-" or os.path.isfile(path))[1].text
    if scheme.path_like:
        return split_path(rest, os.path.isdir)[1].text
    in_brackets = scheme.name == "containers-storage" and rest.startswith("[")
    return rest.partition("]")[2] if in_brackets else rest


def open_source(text: str, settings: Settings, default: str = "docker-daemon") -> Source:
    """The source for the reference *text*; nothing is requested yet. Raises UsageError."""
    scheme, rest = parse_reference(text, default)
    if settings.mirrors and scheme.name == "docker" and rest == text:
        from eci_convert.transports.registry import resolve_alias

        rest = resolve_alias(rest, settings)
    with _suggesting_transport(text, scheme):
        source: Source = _function(scheme, "open_source")(rest, settings)
    return source


def open_sink(text: str, settings: Settings, default: str = "docker-daemon") -> Sink:
    """The sink for the reference *text*; nothing is changed yet. Raises UsageError."""
    scheme, rest = parse_reference(text, default)
    with _suggesting_transport(text, scheme):
        sink: Sink = _function(scheme, "open_sink")(rest, settings)
    return sink


def _function(scheme: Scheme, name: str) -> Callable[[str, Settings], Any]:
    """The function *name* of the module of *scheme*, which is imported on demand."""
    function: Callable[[str, Settings], Any] = getattr(import_module(f"{__name__}.{scheme.module}"), name)
    return function


@contextmanager
def _suggesting_transport(text: str, scheme: Scheme) -> Iterator[None]:
    """A block whose UsageError for a bare name gets the transport that it resembles: `ocii:layout:a`."""
    try:
        yield
    except UsageError as error:
        closest = "" if text.startswith(scheme.spellings) else closest_transport(text)
        if closest:
            error.add_note(f"hint: did you mean {closest!r}?")
        raise


def open_catalog(text: str, settings: Settings) -> Catalog:
    """The catalog for the reference *text*, which may or may not name an image; nothing is requested yet.

    Raises UsageError.
    """
    scheme, rest = parse_place(text)
    catalog: Catalog = _function(scheme, "open_catalog")(rest, settings)
    return catalog


def parse_place(text: str) -> tuple[Scheme, str]:
    """As `parse_reference`, but the rest may be empty for some transports: `docker-daemon:` is valid."""
    for scheme in SCHEMES:
        if text in scheme.spellings and scheme.one_place:
            return scheme, ""
    return parse_reference(text)


def check_one_registry(references: Iterable[str], default: str = "") -> None:
    """Raises UsageError if *references*, which one login is for, are in several registries. *default* is the transport
    of a bare name."""
    registries = list(dict.fromkeys(filter(None, (_registry(text, default) for text in references))))
    if len(registries) > 1:
        raise two_registries(registries[0], registries[1])


def _registry(text: str, default: str) -> str:
    """The registry in the reference *text*; "" for other transports, and for invalid references, which fail later."""
    from eci_convert.oci.reference import Reference, registry_name

    try:
        scheme, rest = parse_reference(text, default)
        return registry_name(Reference.parse(rest).host) if scheme.name == "docker" else ""
    except UsageError:
        return ""


def open_referrer_sink(text: str, settings: Settings, default: str = "docker") -> Sink:
    """The sink for manifests that refer to the image *text*, stored beside it; `publish` gives them no name.

    Raises UsageError, and CannotHoldError for transports that store only images.
    """
    scheme, rest = parse_reference(text, default)
    if not scheme.referrers:
        error = CannotHoldError(f"{scheme.name}: files cannot be attached to images there")
        error.add_note("hint: copy the image to a registry, a layout (oci:DIR) or containerd, and attach them there")
        raise error
    sink: Sink = _function(scheme, "open_referrer_sink")(rest, settings)
    return sink

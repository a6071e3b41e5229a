"""Transports: where images are read from and written to. Each row of SCHEMES is one transport.

base.py              Source, Sink, ContainerFiles: the interface of all transports
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
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Literal, cast

from eci_convert.errors import UsageError
from eci_convert.transports.base import Sink, Source
from eci_convert.transports.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable

Access = Literal["read", "write"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scheme:
    """One transport: its spellings, its module, and what it can hold.

    *artifacts* and *indexes* are the capabilities of its sink.
    """

    name: str
    spellings: tuple[str, ...]
    module: str
    what: str
    artifacts: bool = True
    indexes: bool = True


SCHEMES: tuple[Scheme, ...] = (
    Scheme(name="docker", spellings=("docker://", "oras://", "oci://"), module="registry", what="a registry"),
    Scheme(
        name="docker-daemon",
        spellings=("docker-daemon:",),
        module="docker_daemon",
        what="the Docker engine",
        artifacts=False,
        indexes=False,
    ),
    Scheme(name="containerd", spellings=("containerd:",), module="containerd", what="containerd"),
    Scheme(name="oci", spellings=("oci:",), module="layout.directory", what="an OCI image layout"),
    Scheme(
        name="oci-archive",
        spellings=("oci-archive:",),
        module="layout.archive",
        what="an OCI image layout in a tar file",
    ),
    Scheme(
        name="docker-archive",
        spellings=("docker-archive:",),
        module="docker_archive",
        what="an archive of docker save",
        artifacts=False,
        indexes=False,
    ),
    Scheme(
        name="containers-storage",
        spellings=("containers-storage:",),
        module="containers_storage",
        what="the image store of podman, buildah and CRI-O",
        artifacts=False,
        indexes=False,
    ),
)


def parse_reference(text: str, default: str = "") -> tuple[Scheme, str]:
    """The transport of the reference *text*, and the rest of it. *default* is the transport of a bare name.

    Raises UsageError without a transport and a default, and if the rest is empty.
    """
    for scheme in SCHEMES:
        for spelling in scheme.spellings:
            if text.startswith(spelling):
                return scheme, _nonempty(text.removeprefix(spelling), text)
    word, colon, _ = text.partition("://")
    if colon:
        raise UsageError(f"{word + colon!r} in {text!r} is an unknown transport: use one of {_spellings()}")
    if text.startswith(("/", "./", "../")):
        error = UsageError(f"{text!r} is a path, not an image reference")
        error.add_note("hint: for images in files use oci:DIR[:NAME], oci-archive:FILE or docker-archive:FILE")
        raise error
    if not default:
        raise UsageError(f"{text!r} has no transport: begin it with one of {_spellings()}")
    return next(scheme for scheme in SCHEMES if scheme.name == default), _nonempty(text, text)


def image_name(text: str) -> str:
    """The name of the image in the reference *text*, without the transport and location; "" if there is none.

    >>> image_name("docker://localhost:5000/edge:1"), image_name("oci:layout:edge"), image_name("oci:layout")
    ('localhost:5000/edge:1', 'edge', '')
    """
    from eci_convert.transports.layout.selector import split_path

    scheme, rest = parse_reference(text)
    match scheme.name:
        case "oci":
            return split_path(rest, os.path.isdir)[1].text
        case "oci-archive" | "docker-archive":
            return split_path(rest, lambda path: path == "-" or os.path.isfile(path))[1].text
        case "containers-storage":
            return rest.partition("]")[2] if rest.startswith("[") else rest
        case _:
            return rest


def open_source(text: str, settings: Settings, default: str = "docker-daemon") -> Source:
    """The source for the reference *text*; nothing is requested yet. Raises UsageError."""
    scheme, rest = parse_reference(text, default)
    opener = getattr(import_module(f"eci_convert.transports.{scheme.module}"), "open_source")  # noqa: B009
    return cast("Callable[[str, Settings], Source]", opener)(rest, settings)


def open_sink(text: str, settings: Settings, default: str = "docker-daemon") -> Sink:
    """The sink for the reference *text*; nothing is changed yet. Raises UsageError."""
    scheme, rest = parse_reference(text, default)
    opener = getattr(import_module(f"eci_convert.transports.{scheme.module}"), "open_sink")  # noqa: B009
    return cast("Callable[[str, Settings], Sink]", opener)(rest, settings)


def _spellings() -> str:
    return ", ".join(scheme.spellings[0] for scheme in SCHEMES)


def _nonempty(rest: str, text: str) -> str:
    if not rest:
        raise UsageError(f"{text!r} has no name after the transport")
    return rest

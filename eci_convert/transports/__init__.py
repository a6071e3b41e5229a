"""Where images live. One row of SCHEMES is one transport; everything else here reads the table.

base.py              Source, Sink, ContainerFiles: what every transport answers
settings.py          Settings: what a transport needs to reach its images
registry/            docker://
docker_daemon/       docker-daemon:       the Docker engine
containerd/          containerd:
layout/              oci: oci-archive:    an OCI image layout in a directory, or in a tar archive
docker_archive/      docker-archive:      what docker save writes
containers_storage/  containers-storage:  podman, buildah, CRI-O
memory.py            nothing but this process: for tests and for images made in passing
credentials/         who we are at a registry: docker login's files and helpers
tar_store/           a tar archive as storage
verified_input.py    VerifiedInput: what every sink reads through
ids.py               ids of images, by one rule in every store
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Literal, cast

from eci_convert.errors import CannotHoldError, UsageError
from eci_convert.transports.base import Sink, Source
from eci_convert.transports.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable

Access = Literal["read", "write"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scheme:
    """One place: how it is spelt, which module speaks to it, and what can be done there.

    *artifacts* and *indexes* are what its sink reports.
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
        what="what docker save writes",
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
    """The scheme of the reference *text*, and the rest of it. *default* names the scheme of a bare name.

    Raises UsageError where there is no scheme and no default, and where there is nothing behind the scheme.
    """
    for scheme in SCHEMES:
        for spelling in scheme.spellings:
            if text.startswith(spelling):
                return scheme, _nonempty(text.removeprefix(spelling), text)
    word, colon, _ = text.partition("://")
    if colon:
        error = UsageError(f"unknown transport {word + colon!r} in {text!r}: use one of {_spellings()}")
        if closest := closest_transport(text):
            error.add_note(f"hint: did you mean {closest!r}?")
        raise error
    if text.startswith(("/", "./", "../")):
        error = UsageError(f"{text!r} is a path, and no image's name")
        error.add_note("hint: an image in files is oci:DIR[:NAME], oci-archive:FILE or docker-archive:FILE")
        raise error
    if not default:
        raise _no_transport_error(text)
    return next(scheme for scheme in SCHEMES if scheme.name == default), _nonempty(text, text)


def image_name(text: str, default: str = "") -> str:
    """What the image is called in the reference *text*, wherever it is; "" where that does not say. *default* names the
    transport of a bare name.

    >>> image_name("docker://localhost:5000/edge:1"), image_name("oci:layout:edge"), image_name("oci:layout")
    ('localhost:5000/edge:1', 'edge', '')
    """
    from eci_convert.transports.layout.selector import split_path

    scheme, rest = parse_reference(text, default)
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
    """The source that *text* names; nothing is asked of it yet. Raises UsageError."""
    scheme, rest = parse_reference(text, default)
    if settings.mirrors and scheme.name == "docker" and rest == text:
        from eci_convert.transports.registry import resolve_alias

        rest = resolve_alias(rest, settings)
    opener = getattr(import_module(f"eci_convert.transports.{scheme.module}"), "open_source")  # noqa: B009
    return cast("Callable[[str, Settings], Source]", opener)(rest, settings)


def open_sink(text: str, settings: Settings, default: str = "docker-daemon") -> Sink:
    """The sink that *text* names; nothing is changed there yet. Raises UsageError."""
    scheme, rest = parse_reference(text, default)
    opener = getattr(import_module(f"eci_convert.transports.{scheme.module}"), "open_sink")  # noqa: B009
    return cast("Callable[[str, Settings], Sink]", opener)(rest, settings)


def open_referrer_sink(text: str, settings: Settings, default: str = "docker") -> Sink:
    """The place for manifests that refer to the image *text*, beside it; `publish` gives them no name.

    Raises UsageError, and CannotHoldError for places that keep nothing but images.
    """
    scheme, rest = parse_reference(text, default)
    opener = getattr(import_module(f"eci_convert.transports.{scheme.module}"), "open_referrer_sink", None)
    if opener is None:
        error = CannotHoldError(f"{scheme.what} keeps nothing that refers to an image")
        error.add_note("hint: attach it in a registry, a layout or containerd; copy --referrers takes it along")
        raise error
    return cast("Callable[[str, Settings], Sink]", opener)(rest, settings)
def closest_transport(text: str) -> str:
    """*text* with the transport that its first word may be a misspelling of; "" where none is close.

    >>> closest_transport("ocii:layout"), closest_transport("docker:/host/name"), closest_transport("my-machine:1")
    ('oci:layout', 'docker://host/name', '')
    """
    from difflib import get_close_matches

    word, colon, rest = text.partition(":")
    spellings = {spelling.partition(":")[0]: spelling for scheme in reversed(SCHEMES) for spelling in scheme.spellings}
    spellings["oci"] = "oci://" if rest.startswith("//") else "oci:"
    [*matches] = get_close_matches(word.lower(), spellings, n=1, cutoff=0.75) if colon else ()
    if not matches:
        return ""
    spelling = spellings[matches[0]]
    return spelling + (rest.lstrip("/") if spelling.endswith("//") else rest)


def _no_transport_error(text: str) -> UsageError:
    error = UsageError(f"{text!r} has no transport: begin it with one of {_spellings()}")
    if closest := closest_transport(text):
        error.add_note(f"hint: did you mean {closest!r}?")
    else:
        error.add_note(f"hint: docker://{text} is in a registry, docker-daemon:{text} in the Docker engine")
    return error


def _spellings() -> str:
    return ", ".join(scheme.spellings[0] for scheme in SCHEMES)


def _nonempty(rest: str, text: str) -> str:
    if not rest:
        raise UsageError(f"{text!r} names nothing")
    return rest

"""The syntax of references: each row of SCHEMES is one transport, and `parse_reference` splits a reference by it."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from eci_convert.errors import UsageError


@dataclass(frozen=True, slots=True, kw_only=True)
class Scheme:
    """One transport: its spellings, its module, and what it can hold.

    *one_place*: there is one default location, so that the spelling alone names all its images. *connects*: it waits
    for a server, or for a store that others use, so that `--timeout` applies.

    *what* is its description and *form* the syntax after the spelling, both for help texts. *artifacts*, *indexes* and
    *uncompressed* are the capabilities of its sink (the last is `stores_uncompressed`). *path_like*: a reference is a
    path, with an optional name; *archive*: the path is that of a single file. *keeps_blobs*: the blobs of the image
    that a name referred to before can be reused. *keeps_manifests*: the digest of the manifest is that of the image in
    the store; otherwise the image has its id alone. *referrers*: manifests that refer to an image can be added to the
    store (`open_referrer_sink`).
    """

    name: str
    spellings: tuple[str, ...]
    module: str
    what: str
    form: str
    artifacts: bool = True
    indexes: bool = True
    uncompressed: bool = False
    path_like: bool = False
    archive: bool = False
    one_place: bool = False
    connects: bool = False
    keeps_blobs: bool = False
    keeps_manifests: bool = True
    referrers: bool = False


SCHEMES: tuple[Scheme, ...] = (
    Scheme(
        name="docker",
        spellings=("docker://", "oras://", "oci://"),
        module="registry",
        what="a registry",
        form="HOST/REPO[:TAG][@DIGEST]",
        connects=True,
        keeps_blobs=True,
        referrers=True,
    ),
    Scheme(
        name="docker-daemon",
        spellings=("docker-daemon:",),
        module="docker_daemon",
        what="the Docker engine",
        form="NAME[:TAG]",
        artifacts=False,
        indexes=False,
        uncompressed=True,
        one_place=True,
        connects=True,
        keeps_manifests=False,
    ),
    Scheme(
        name="containerd",
        spellings=("containerd:",),
        module="containerd",
        what="containerd",
        form="NAME[:TAG]",
        one_place=True,
        connects=True,
        keeps_blobs=True,
        referrers=True,
    ),
    Scheme(
        name="oci",
        spellings=("oci:",),
        module="layout.directory",
        what="an OCI image layout",
        form="DIR[:NAME]",
        path_like=True,
        keeps_blobs=True,
        referrers=True,
    ),
    Scheme(
        name="oci-archive",
        spellings=("oci-archive:",),
        module="layout.archive",
        what="an OCI image layout in a tar file",
        form="FILE[:NAME]",
        path_like=True,
        archive=True,
    ),
    Scheme(
        name="docker-archive",
        spellings=("docker-archive:",),
        module="docker_archive",
        what="what docker save writes",
        form="FILE[:NAME]",
        path_like=True,
        archive=True,
        artifacts=False,
        indexes=False,
        uncompressed=True,
        keeps_manifests=False,
    ),
    Scheme(
        name="containers-storage",
        spellings=("containers-storage:",),
        module="containers_storage",
        what="the image store of podman, buildah and CRI-O",
        form="NAME",
        artifacts=False,
        indexes=False,
        uncompressed=True,
        one_place=True,
        connects=True,
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
        error = UsageError(f"unknown transport {word + colon!r} in {text!r}: use one of {_spellings()}")
        if closest := closest_transport(text):
            error.add_note(f"hint: did you mean {closest!r}?")
        raise error
    if text.startswith(("/", "./", "../")):
        error = UsageError(f"{text!r} is a path, not an image reference")
        error.add_note("hint: for images in files use oci:DIR[:NAME], oci-archive:FILE or docker-archive:FILE")
        raise error
    if not default:
        raise _no_transport_error(text)
    return next(scheme for scheme in SCHEMES if scheme.name == default), _nonempty(text, text)


def default_transport(environ: Mapping[str, str]) -> str:
    """The transport of a bare name, for commands that do not default to a registry: `ECI_CONVERT_DEFAULT_TRANSPORT` of
    *environ*, else the Docker engine. Raises UsageError for an unknown one.

    >>> default_transport({}), default_transport({"ECI_CONVERT_DEFAULT_TRANSPORT": "containers-storage:"})
    ('docker-daemon', 'containers-storage')
    """
    text = environ.get("ECI_CONVERT_DEFAULT_TRANSPORT", "").strip()
    if not text:
        return "docker-daemon"
    names = {spelling.partition(":")[0]: scheme.name for scheme in SCHEMES for spelling in scheme.spellings}
    name = names.get(text.removesuffix("//").removesuffix(":"))
    if name is None:
        error = UsageError(f"ECI_CONVERT_DEFAULT_TRANSPORT is {text!r}: it must be one of {_spellings()}")
        if closest := closest_transport(f"{text.rstrip(':/')}:"):
            error.add_note(f"hint: did you mean {closest.rstrip(':/')!r}?")
        raise error
    return name


def closest_transport(text: str) -> str:
    """*text* with its misspelled transport corrected; "" if it resembles none. An http or https URL is taken as
    docker://.

    >>> closest_transport("ocii:layout"), closest_transport("docker:/host/name"), closest_transport("my-machine:1")
    ('oci:layout', 'docker://host/name', '')
    >>> closest_transport("https://host/name:1")
    'docker://host/name:1'
    """
    from difflib import get_close_matches

    word, colon, rest = text.partition(":")
    spellings = {spelling.partition(":")[0]: spelling for scheme in reversed(SCHEMES) for spelling in scheme.spellings}
    spellings |= dict.fromkeys(("http", "https"), "docker://") if rest.startswith("//") else {}
    spellings["oci"] = "oci://" if rest.startswith("//") else "oci:"
    [*matches] = get_close_matches(word.lower(), spellings, n=1, cutoff=0.75) if colon else ()
    if not matches:
        return ""
    spelling = spellings[matches[0]]
    return spelling + (rest.lstrip("/") if spelling.endswith("//") else rest)


def nearest_names(name: str, names: Iterable[str], most: int = 3) -> tuple[str, ...]:
    """The names in *names* most similar to *name*, best first, at most *most* of them.

    >>> nearest_names("1.3", ["1.2", "1.4", "latest"])
    ('1.4', '1.2')
    """
    from difflib import get_close_matches

    return tuple(get_close_matches(name, tuple(dict.fromkeys(names)), n=most, cutoff=0.5))


def other_meaning(name: str) -> str:
    """A hint for *name*, which a store does not have: a transport that is misspelt, or a layout or an archive without
    its transport; "" if it is none of these."""
    path = name.partition(":")[0]
    if closest := closest_transport(name):
        return f"did you mean {closest!r}?"
    if os.path.isfile(os.path.join(path, "index.json")):
        return f"the image layout {path!r} is oci:{name}"
    if os.path.isfile(path):
        return f"the archive {path!r} is oci-archive:{name} or docker-archive:{name}"
    return ""


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
        raise UsageError(f"{text!r} has no name after the transport")
    return rest

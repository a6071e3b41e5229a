"""Shell completion of references, dialects and platforms."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

import click
from click.shell_completion import CompletionItem

from eci_convert.cli.param_types import KeyValueParam, PathParam
from eci_convert.dialects import READERS
from eci_convert.errors import EciError, printable
from eci_convert.oci.annotations import IMAGE_NAME, REF_NAME
from eci_convert.oci.json_fields import MAX_DOCUMENT
from eci_convert.transports import SCHEMES, default_transport
from eci_convert.transports.settings import Settings

PLATFORMS = (
    "linux/amd64", "linux/arm64", "linux/arm/v7", "linux/arm/v6", "linux/386", "linux/ppc64le", "linux/s390x",
    "linux/riscv64", "freebsd/amd64",
)  # fmt: skip

_REFERENCES = frozenset(
    {"reference", "references", "src", "dst", "sources", "image", "destination", "fix", "refs", "place", "first",
     "second", "subject"}
)  # fmt: skip
_IN_A_REGISTRY = frozenset({"push", "pull", "pullfiles", "url", "attach", "discover", "doctor"})
"""Commands to which a name without a transport is in a registry."""
_IN_THE_ENGINE = frozenset({"extract", "inspect", "ls", "diff", "verify", "build"})
"""Commands to which it is in the Docker engine, or where ECI_CONVERT_DEFAULT_TRANSPORT says."""
_ONE_PLACE = ("docker-daemon", "containerd", "containers-storage")
_TIMEOUT = 2.0
"""Seconds for a registry or an engine to answer."""

_WORDS: dict[str, tuple[str, ...]] = {
    "platforms": PLATFORMS,
    "dialect": tuple(READERS),
    "also": ("containerdisk",),
    "compression": ("gzip", "zstd", "none"),
}


def complete_values(command: click.Command) -> None:
    """Has the parameters of *command* complete their values, those that name images by what is there."""
    name = command.name or ""
    default = "docker" if name in _IN_A_REGISTRY else _engine() if name in _IN_THE_ENGINE else ""
    for parameter in command.params:
        if parameter.name in _REFERENCES and parameter.type is click.STRING:
            parameter.type = ReferenceParam(default)
        elif isinstance(parameter.type, KeyValueParam) and str(parameter.metavar).endswith(("=FILE", "=PATH")):
            parameter.type = NamedFileParam()
        elif parameter.name == "files" and parameter.type is click.STRING:
            parameter.type = PathParam(str)
        elif parameter.name in _WORDS and parameter.type is click.STRING:
            parameter.type = WordParam(_WORDS[parameter.name])


class WordParam(click.ParamType):  # type: ignore[type-arg]  # generic since click 8.4 only
    """A text that is mostly one of *words*."""

    name = "text"

    def __init__(self, words: Iterable[str]) -> None:
        self._words = tuple(words)

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        return [CompletionItem(word) for word in self._words if word.startswith(incomplete)]


class NamedFileParam(KeyValueParam):
    """`NAME=FILE`."""

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        name, equals, beginning = incomplete.partition("=")
        return [CompletionItem(f"{name}={path}") for path in _paths(beginning, files=True) if equals]


class ReferenceParam(click.ParamType):  # type: ignore[type-arg]
    """A reference to an image; *default* is the transport of a bare name, "" where there is none."""

    name = "text"

    def __init__(self, default: str) -> None:
        self._default = default

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        return [CompletionItem(reference) for reference in references(incomplete, self._default)]


def references(incomplete: str, default: str = "") -> Iterator[str]:
    """References that begin with *incomplete*: transports; behind `oci:`, directories that are or hold layouts, and the
    names in a layout; behind `oci-archive:` and `docker-archive:`, files and directories; the tags of a repository, and
    the names of images in engines and stores, where these answer at once. *default* is the transport of a bare name."""
    transport, colon, rest = incomplete.partition(":")
    spellings = [spelling for scheme in SCHEMES for spelling in scheme.spellings]
    if not colon:
        yield from (spelling for spelling in spellings if spelling.startswith(incomplete))
    if not incomplete.startswith(tuple(spellings)):
        if default == "docker" and colon:
            yield from _tags(incomplete)
        if default in _ONE_PLACE:
            yield from (name for name in _names(default) if name.startswith(incomplete))
        return
    if rest.startswith("//"):
        yield from _tags(incomplete)
        return
    if transport in _ONE_PLACE:
        yield from (f"{transport}:{name}" for name in _names(transport) if name.startswith(rest))
        return
    [*schemes] = (scheme for scheme in SCHEMES if f"{transport}:" in scheme.spellings and scheme.path_like)
    if not schemes:
        return
    path, named, name = rest.rpartition(":")
    if named and transport == "oci" and os.path.isdir(path):
        yield from (f"oci:{path}:{known}" for known in sorted(layout_names(Path(path))) if known.startswith(name))
    else:
        yield from (f"{transport}:{found}" for found in _paths(rest, files=schemes[0].archive))


def _tags(incomplete: str) -> Iterator[str]:
    """*incomplete*, `docker://HOST/REPO:` and the beginning of a tag, with each tag that begins so."""
    name, _, beginning = incomplete.rpartition(":")
    repository = name.partition("://")[2] or name
    if "/" not in repository or "/" in beginning:
        return
    from eci_convert.oci.reference import Reference
    from eci_convert.transports.registry.source import RegistrySource

    with suppress(EciError), RegistrySource(Reference.parse(repository), _at_once()) as source:
        yield from (f"{name}:{printable(tag)}" for tag in sorted(source.tags()) if tag.startswith(beginning))


def _names(transport: str) -> tuple[str, ...]:
    """The names of the images in the one place of *transport*."""
    from eci_convert.transports import open_catalog

    with suppress(EciError), open_catalog(f"{transport}:", _at_once()) as catalog:
        return tuple(sorted({printable(entry.name) for entry in catalog.images() if entry.name}))
    return ()


def _engine() -> str:
    """The transport of a bare name, to commands that take it for one in the engine."""
    with suppress(EciError):
        return default_transport(os.environ)
    return ""


def _at_once() -> Settings:
    """The user's settings with a short timeout and no retries: a shell waits for the completion."""
    return Settings(environ=os.environ, timeout=_TIMEOUT, retries=0)


def layout_names(directory: Path) -> Iterator[str]:
    """The names that images have in the layout *directory*; none where that is no layout."""
    with suppress(OSError, ValueError, AttributeError, RecursionError):
        with (directory / "index.json").open("rb") as file:
            entries = json.loads(file.read(MAX_DOCUMENT)).get("manifests") or []
        for entry in entries:
            annotations = entry.get("annotations") or {}
            if name := annotations.get(IMAGE_NAME) or annotations.get(REF_NAME):
                yield printable(name)


def _paths(beginning: str, *, files: bool) -> Iterator[str]:
    """Paths that begin with *beginning*; a directory that is no layout ends in a slash."""
    folder, slash, name = beginning.rpartition("/")
    with suppress(OSError), os.scandir((folder + slash) or ".") as entries:
        for entry in sorted(entries, key=lambda entry: entry.name):
            if not entry.name.startswith(name) or (entry.name.startswith(".") and not name):
                continue
            path = folder + slash + entry.name
            if entry.is_dir():
                yield path if os.path.isfile(os.path.join(path, "index.json")) and not files else f"{path}/"
            elif files:
                yield path

"""Looks up the credential for a registry.

In order: the user's options; `--authfile`, and then no other file; `REGISTRY_AUTH_FILE`; `DOCKER_AUTH_CONFIG`;
`$DOCKER_CONFIG/config.json`, else `~/.docker/config.json`; podman's `auth.json`. The first that has a credential for
the registry decides. Broken files and helpers are reported by name and skipped: anonymous access may be enough.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from eci_convert.errors import UsageError
from eci_convert.files.home import home
from eci_convert.oci.reference import HUB, HUB_API, Reference, registry_name
from eci_convert.progress import warn
from eci_convert.transports.credentials import helpers
from eci_convert.transports.credentials.config_files import AuthFile, Credential, Keys
from eci_convert.transports.settings import Settings

__all__ = ["Credential", "credential_for"]


_HUB_KEYS = ("https://index.docker.io/v1/", "index.docker.io", HUB, HUB_API)
"""`docker login` writes the first, helm and oras one of the others."""

_RUNTIME = Path("/run/containers")
"""Where podman stores logins if XDG_RUNTIME_DIR is not set, as for root (containers-auth.json(5))."""


def credential_for(reference: Reference, settings: Settings) -> Credential | None:
    """The credential for the registry and repository of *reference*, None if there is none.

    A registry is identified by its exact host and port; only Docker Hub has several names. Raises UsageError if
    `--authfile` cannot be read.
    """
    if settings.username:
        return Credential(username=settings.username, password=settings.password, origin="the command line")
    keys = _keys(reference)
    for file in _files(settings):
        credential = file.inline(keys) if not file.helpers else _from_helpers(file, keys, settings) or file.inline(keys)
        if credential is not None:
            return credential
    return None


def _keys(reference: Reference) -> Keys:
    """The keys under which the credential may be stored. Hub has several names, all equivalent."""
    is_hub = registry_name(reference.host) == HUB
    others = _HUB_KEYS if is_hub else ()
    hosts = tuple(dict.fromkeys(others if reference.host == HUB else (reference.host, *others)))
    components = reference.repository.split("/")
    namespaces = tuple(
        f"{host}/{'/'.join(components[:count])}"
        for count in range(len(components), 0, -1)
        for host in dict.fromkeys((reference.host, HUB) if is_hub else (reference.host,))
    )
    return Keys(namespaces=namespaces, hosts=hosts)


def _from_helpers(file: AuthFile, keys: Keys, settings: Settings) -> Credential | None:
    for host in keys.hosts:
        if host in file.helper_by_host:
            credential = helpers.get_from_helper(file.helper_by_host[host], (host,), settings)
            if credential is not None:
                return credential
    return helpers.get_from_helper(file.store, keys.hosts, settings) if file.store else None


def _files(settings: Settings) -> Iterator[AuthFile]:
    environ, warned = settings.environ, partial(warn, settings.reporter)
    if settings.authfile:
        file = AuthFile.read(Path(settings.authfile), warned, may_be_pipe=True)
        if file is None:
            raise UsageError(f"cannot read the credentials file {settings.authfile!r}")
        yield file
        return
    if environ.get("REGISTRY_AUTH_FILE"):
        yield from _read_if_present(Path(environ["REGISTRY_AUTH_FILE"]), settings, may_be_pipe=True)
    if environ.get("DOCKER_AUTH_CONFIG"):
        file = AuthFile.parse(os.fsencode(environ["DOCKER_AUTH_CONFIG"]), "DOCKER_AUTH_CONFIG", warned)
        yield from () if file is None else (file,)
    for path in _default_paths(settings):
        yield from _read_if_present(path, settings)


def _default_paths(settings: Settings) -> Iterator[Path]:
    environ = settings.environ
    home_directory = home(environ)
    if environ.get("DOCKER_CONFIG"):
        yield Path(environ["DOCKER_CONFIG"], "config.json")
    elif home_directory:
        yield Path(home_directory, ".docker/config.json")
    runtime = environ.get("XDG_RUNTIME_DIR")
    yield Path(runtime, "containers/auth.json") if runtime else _RUNTIME / str(os.getuid()) / "auth.json"
    config = environ.get("XDG_CONFIG_HOME") or (f"{home_directory}/.config" if home_directory else "")
    if config:
        yield Path(config, "containers/auth.json")


def _read_if_present(path: Path, settings: Settings, *, may_be_pipe: bool = False) -> Iterator[AuthFile]:
    file = AuthFile.read(path, partial(warn, settings.reporter), may_be_pipe=may_be_pipe)
    if file is not None:
        yield file

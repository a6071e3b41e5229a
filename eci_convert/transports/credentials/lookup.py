"""Who we are at a registry: what `docker login`, `podman login`, `oras login` or a CI step stored.

In order: the user's flags; `--authfile`, and then no other file; `REGISTRY_AUTH_FILE`; `DOCKER_AUTH_CONFIG`;
`$DOCKER_CONFIG/config.json`, else `~/.docker/config.json`; podman's `auth.json`. The first that knows the registry
decides. What is broken is warned of by name and passed over: anonymous access may do.
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
"""Below it podman has a user's logins where there is no XDG_RUNTIME_DIR: root has none (containers-auth.json(5))."""


def credential_for(reference: Reference, settings: Settings) -> Credential | None:
    """The credential for the registry and repository that *reference* names, or None: nobody knows one.

    A registry is its exact host and port; Docker Hub alone has other names. Raises UsageError where `--authfile`
    names what cannot be read.
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
    """Under which keys the registry's credential may be. Hub has several names, each of which means all of them."""
    is_hub = registry_name(reference.host) == HUB
    others = _HUB_KEYS if is_hub else ()
    hosts = tuple(dict.fromkeys(others if reference.host == HUB else (reference.host, *others)))
    components = reference.repository.split("/")
    spaces = tuple(
        f"{host}/{'/'.join(components[:count])}"
        for count in range(len(components), 0, -1)
        for host in dict.fromkeys((reference.host, HUB) if is_hub else (reference.host,))
    )
    return Keys(namespaces=spaces, hosts=hosts)


def _from_helpers(file: AuthFile, keys: Keys, settings: Settings) -> Credential | None:
    for host in keys.hosts:
        if host in file.helper_by_host:
            found = helpers.ask(file.helper_by_host[host], (host,), settings)
            if found is not None:
                return found
    return helpers.ask(file.store, keys.hosts, settings) if file.store else None


def _files(settings: Settings) -> Iterator[AuthFile]:
    environ, warned = settings.environ, partial(warn, settings.reporter)
    if settings.authfile:
        found = AuthFile.read(Path(settings.authfile), warned)
        if found is None:
            raise UsageError(f"--authfile {settings.authfile!r} cannot be read")
        yield found
        return
    if environ.get("REGISTRY_AUTH_FILE"):
        yield from _readable(Path(environ["REGISTRY_AUTH_FILE"]), settings)
    if environ.get("DOCKER_AUTH_CONFIG"):
        text = AuthFile.parse(os.fsencode(environ["DOCKER_AUTH_CONFIG"]), "DOCKER_AUTH_CONFIG", warned)
        yield from () if text is None else (text,)
    for path in _usual_places(settings):
        yield from _readable(path, settings)


def _usual_places(settings: Settings) -> Iterator[Path]:
    environ = settings.environ
    folder = home(environ)
    if environ.get("DOCKER_CONFIG"):
        yield Path(environ["DOCKER_CONFIG"], "config.json")
    elif folder:
        yield Path(folder, ".docker/config.json")
    runtime = environ.get("XDG_RUNTIME_DIR")
    yield Path(runtime, "containers/auth.json") if runtime else _RUNTIME / str(os.getuid()) / "auth.json"
    config = environ.get("XDG_CONFIG_HOME") or (f"{folder}/.config" if folder else "")
    if config:
        yield Path(config, "containers/auth.json")


def _readable(path: Path, settings: Settings) -> Iterator[AuthFile]:
    found = AuthFile.read(path, partial(warn, settings.reporter))
    if found is not None:
        yield found

"""Finds the engines and programs of this computer, and their versions."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from shutil import which

from eci_convert.errors import EciError
from eci_convert.transports.settings import Settings

_TIMEOUT = 5.0
_VERSION = re.compile(r"\d+(?:\.\d+)+\S*", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One engine or program. *where* is its address or path; *detail* says more, or why it is not *found*."""

    name: str
    found: bool
    version: str = ""
    where: str = ""
    detail: str = ""


_NO_CONNECTION = "cannot connect to the Docker engine: "
"""What an error says of a socket that may be podman's, and that the line is about anyway."""


def look_around(settings: Settings) -> tuple[Finding, ...]:
    """What of all that eci-convert can use is here. Nothing is changed, and nothing waited for longer than seconds."""
    settings = replace(settings, timeout=min(settings.timeout, _TIMEOUT))
    checks: tuple[Callable[[Settings], Finding], ...] = (_docker, _podman_socket, _podman, _containerd, _qemu_img)
    return tuple(check(settings) for check in checks)


def _docker(settings: Settings) -> Finding:
    from eci_convert.transports.docker_daemon import endpoint

    try:
        engine_endpoint = endpoint.find(settings.environ)
    except EciError as error:
        return Finding(name="docker engine", found=False, detail=str(error))
    return _engine("docker engine", engine_endpoint.host, settings, engine_endpoint.origin)


def _podman_socket(settings: Settings) -> Finding:
    """podman's Docker-compatible API, at the first of its sockets that answers."""
    tried: list[Finding] = []
    for host, origin in _podman_sockets(settings.environ):
        one = replace(settings, environ={**settings.environ, "DOCKER_HOST": host})
        finding = _engine("podman socket", host, one, origin)
        if finding.found:
            return finding
        tried.append(finding)
    return tried[0]


def _podman_sockets(environ: Mapping[str, str]) -> list[tuple[str, str]]:
    runtime = environ.get("XDG_RUNTIME_DIR", "")
    sockets = [("unix:///run/podman/podman.sock", "the default")]
    if runtime:
        sockets.insert(0, (f"unix://{runtime}/podman/podman.sock", "XDG_RUNTIME_DIR"))
    if environ.get("CONTAINER_HOST"):
        sockets.insert(0, (environ["CONTAINER_HOST"], "CONTAINER_HOST"))
    return sockets


def _engine(name: str, host: str, settings: Settings, detail: str) -> Finding:
    from eci_convert.transports.docker_daemon.engine import Engine

    scheme, mark, rest = host.partition("://")
    where = f"{scheme}{mark}{rest.rpartition('@')[2]}"  # it may contain a user name and a password
    try:
        engine = Engine(settings)
        try:
            with engine.client() as client:
                version_info = client.version(api_version=False)
            store = "containerd's image store" if engine.keeps_images_in_containerd else "the classic image store"
        finally:
            engine.close()
    except EciError as error:
        reason = str(error).replace(host, where).removeprefix(f"{where}: ").removeprefix(_NO_CONNECTION)
        return Finding(name=name, found=False, where=where, detail=f"{reason} ({detail})")
    version = str(version_info.get("Version", "")) if isinstance(version_info, Mapping) else ""
    return Finding(name=name, found=True, version=version, where=where, detail=f"{store}; {detail}")


def _containerd(settings: Settings) -> Finding:
    from eci_convert.transports.containerd.connection import DEFAULT_ADDRESS, connected
    from eci_convert.transports.containerd.proto import containerd_pb2 as api

    where = settings.address or settings.environ.get("CONTAINERD_ADDRESS", "") or DEFAULT_ADDRESS
    try:
        connection = connected(settings)
        try:
            method = "/containerd.services.version.v1.Version/Version"
            answer = connection.call(method, api.Empty(), api.VersionResponse, "its version")
        finally:
            connection.close()
    except EciError as error:
        return Finding(name="containerd", found=False, where=where, detail=str(error))
    detail = f"namespace {connection.namespace}"
    return Finding(name="containerd", found=True, version=answer.version, where=where, detail=detail)


def _podman(settings: Settings) -> Finding:
    return _program("podman", settings, "not needed: containers-storage: is read without it")


def _qemu_img(settings: Settings) -> Finding:
    return _program("qemu-img", settings, "converts disks: package qemu-utils, or qemu-img")


def _program(name: str, settings: Settings, purpose: str) -> Finding:
    path = which(name, path=settings.environ.get("PATH"))
    if path is None:
        return Finding(name=name, found=False, detail=f"not on PATH ({purpose})")
    try:
        done = subprocess.run(
            [path, "--version"], stdin=subprocess.DEVNULL, capture_output=True, env=dict(settings.environ),
            timeout=settings.timeout, check=False,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        reason = getattr(error, "strerror", None) or f"no answer within {settings.timeout:g} s"
        return Finding(name=name, found=False, where=path, detail=f"cannot be run: {reason}")
    version = _VERSION.search(done.stdout.decode(errors="replace"))
    if done.returncode:
        return Finding(name=name, found=False, where=path, detail=f"exit {done.returncode} of {name} --version")
    return Finding(name=name, found=True, version=version[0].rstrip(")") if version else "", where=path)

"""Builds with the engine's build API, through the Docker SDK. The context is sent as it is made, never stored."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, Final, cast

from eci_convert.docker_build import build_context
from eci_convert.docker_build.build_context import context_of_folder, context_of_parts
from eci_convert.docker_build.dockerfile import SCRATCH, context_names
from eci_convert.docker_build.request import BuildRequest
from eci_convert.docker_build.result import built_image_id, platform_of, wrong_platform_error
from eci_convert.errors import TransportError, UsageError
from eci_convert.oci.platform import Platform
from eci_convert.oci.reference import HUB, Reference, registry_name
from eci_convert.progress import waiting, warn
from eci_convert.transports.base import two_registries
from eci_convert.transports.credentials.lookup import credential_for
from eci_convert.transports.settings import Settings

if TYPE_CHECKING:
    from typing import IO

    from eci_convert.transports.docker_daemon.engine import Engine

_FROM: Final = re.compile(r"^\s*FROM\s+(?:--\S+\s+)*(\S+)(?:\s+AS\s+(\S+))?|^\s*COPY\s+.*--from=(\S+)", re.I | re.M)
_HUB_KEY: Final = "https://index.docker.io/v1/"


def build(request: BuildRequest, settings: Settings, log: Callable[[str], object]) -> str:
    """The id of the image that the engine has built. *log* is called with each line that the builder prints.

    Raises UsageError for what this builder cannot do; TransportError, AccessDeniedError, NotFoundError as the engine
    reports; LocalError for files that cannot be read or change meanwhile.
    """
    from eci_convert.transports.docker_daemon.engine import Engine

    if request.annotations or len(request.platforms) > 1:
        raise _cannot("annotations" if request.annotations else "images for several platforms")
    engine = Engine(settings)
    try:
        expected = _expected(request, engine)
        for nocache in (False, True):
            _run(request, engine, log, nocache=nocache)
            if built := built_image_id(request, engine, expected):
                return built
        raise wrong_platform_error(request, engine, expected)
    finally:
        engine.close()


def _expected(request: BuildRequest, engine: Engine) -> Platform | None:
    """The platform of the image, if it is known. Docker 20.10 reuses cached images of other platforms; the build is
    then repeated without the cache."""
    if request.platforms:
        return request.platforms[0]
    if request.artifact is None or request.base != SCRATCH:
        return None
    with engine.client() as client:
        return platform_of(client.version())


def _run(request: BuildRequest, engine: Engine, log: Callable[[str], object], *, nocache: bool) -> None:
    settings = engine.settings
    text = request.dockerfile(context_names(request.artifact) if request.artifact else {})
    name = build_context.place(request.file, request.folder) if request.file else build_context.DOCKERFILE
    with engine.client(slow=True) as client:
        client.credentials = credentials(text, settings)
        events = client.build(
            fileobj=cast("IO[bytes]", _context(request, text, name, settings)),
            custom_context=True,
            tag=request.reference,
            dockerfile=name,
            labels=dict(request.labels) or None,
            platform=str(request.platforms[0]) if request.platforms else None,
            nocache=nocache,
            timeout=client.timeout,
            use_config_proxy=False,
            rm=True,
            forcerm=True,
            decode=True,
        )
        with waiting(settings.reporter, "the Docker engine to build the image"):
            built = any([_log_event(event, log) for event in events])  # noqa: C419 - all of them are wanted
    if not built:
        raise TransportError(f"{engine.host}: the Docker engine's build ended without an image")


def credentials(dockerfile: str, settings: Settings) -> dict[str, dict[str, str]]:
    """What the engine needs to know to pull the images that *dockerfile* starts from: nothing else of the user's."""
    by_registry: dict[str, dict[str, str]] = {}
    stages = {match[2].lower() for match in _FROM.finditer(dockerfile) if match[2]} | {"scratch"}
    for match in _FROM.finditer(dockerfile):
        name = match[1] or match[3]
        if name.lower() in stages or name.isdigit():
            continue
        try:
            reference = Reference.parse(name)
        except UsageError:  # not a literal name, such as a variable: the builder resolves it
            continue
        key = _HUB_KEY if registry_name(reference.host) == HUB else reference.host
        if key not in by_registry and (credential := credential_for(reference, settings)):
            if settings.username and by_registry:
                raise two_registries(next(iter(by_registry)), key)
            texts = {
                "username": credential.username,
                "password": credential.password,
                "identitytoken": credential.identity_token,
                "registrytoken": credential.registry_token,
                "serveraddress": key,
            }
            by_registry[key] = {field: text for field, text in texts.items() if text}
    return by_registry


def _context(request: BuildRequest, text: str, name: str, settings: Settings) -> Any:
    if request.artifact is not None:
        return context_of_parts(request.artifact, text, request.created)
    return context_of_folder(request.folder, text, name, partial(warn, settings.reporter))


def _log_event(event: Mapping[str, Any], log: Callable[[str], object]) -> bool:
    """Passes the lines of *event* to *log*; whether it says that there is an image."""
    text = event.get("stream") or event.get("status")
    if isinstance(text, str):
        for line in filter(None, (line.strip() for line in text.splitlines())):
            log(line)
    detail = event.get("aux")
    return isinstance(detail, dict) and bool(detail.get("ID"))


def _cannot(what: str) -> UsageError:
    error = UsageError(f"the engine's own builder makes no {what}")
    error.add_note("hint: use --builder buildx")
    return error

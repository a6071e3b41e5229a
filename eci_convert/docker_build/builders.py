"""BUILDERS: which program builds an image with a Docker engine; build, context_size.

Nearly always `pack` does better: it makes the layers here, reproducibly, and loads them. A builder is for images on a
base, for Dockerfiles of the user's, and for several platforms.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import cast

from eci_convert.docker_build.request import BuildRequest
from eci_convert.errors import UsageError
from eci_convert.reading.local_content import total_size
from eci_convert.transports.settings import Settings

__all__ = ["BUILDERS", "BuildRequest", "build", "context_size"]


BUILDERS = {"docker": "engine_api", "buildx": "buildx"}
"""The names that users know builders by, and the modules here."""


def build(request: BuildRequest, settings: Settings, *, builder: str, log: Callable[[str], object] = str) -> str:
    """The id, in the engine that *settings* lead to, of the image that *builder* has built.

    *log* is called with each line that the builder prints. Raises UsageError for an unknown builder and for what it
    cannot do; TransportError, AccessDeniedError and NotFoundError as it reports; LocalError for files that cannot be
    read.
    """
    if builder not in BUILDERS:
        raise UsageError(f"{builder!r} is no builder: there are {', '.join(BUILDERS)}")
    module = import_module(f"eci_convert.docker_build.{BUILDERS[builder]}")
    return cast("Callable[..., str]", module.build)(request, settings, log)


def context_size(request: BuildRequest) -> int:
    """The bytes of all files that a build may read. Raises as `build` does for files that cannot be read."""
    from eci_convert.docker_build import build_context
    from eci_convert.docker_build.build_context import measure_context

    if request.artifact is not None:
        return total_size(request.artifact)
    return measure_context(
        request.folder, request.dockerfile({}), build_context.place(request.file or Path(), request.folder)
    )

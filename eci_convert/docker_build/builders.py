"""Images that a Docker engine builds itself, of parts or of a Dockerfile.

docker_build/request.py     what is to be built
docker_build/engine_api.py   by the engine's build API, through the Docker SDK        context.py   its context, streamed
docker_build/buildx.py    by BuildKit, through python-on-whales
operations/check_build.py     a look at what has been built

Nearly always `pack` does better: it makes the layers here, reproducibly, and loads them. A builder is for images on a
base, for Dockerfiles of the user's, and for several platforms.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import cast

from eci_convert.docker_build.request import Order
from eci_convert.errors import UsageError
from eci_convert.operations import estimate
from eci_convert.transports.base import Settings

__all__ = ["BUILDERS", "Order", "build", "sent"]


BUILDERS = {"docker": "classic", "buildx": "buildx"}
"""The names that users know builders by, and the modules here."""


def build(order: Order, settings: Settings, *, builder: str, heard: Callable[[str], object] = str) -> str:
    """The id, in the engine that *settings* lead to, of the image that *builder* has built.

    *heard* is told what the builder says, line by line. Raises UsageError for an unknown builder and for what it cannot
    do; TransportError, AccessDenied and NotFound as it reports; LocalError for files that cannot be read.
    """
    if builder not in BUILDERS:
        raise UsageError(f"{builder!r} is no builder: there are {', '.join(BUILDERS)}")
    module = import_module(f"eci_convert.dockerbuild.{BUILDERS[builder]}")
    return cast("Callable[..., str]", module.build)(order, settings, heard)


def sent(order: Order) -> int:
    """The bytes of all files that a build of *order* may read. Raises as `build` does for files that cannot be read."""
    from eci_convert.docker_build import build_context

    if order.artifact is not None:
        return estimate.of_parts(order.artifact)
    return build_context.size(
        order.folder, order.dockerfile({}), build_context.place(order.file or Path(), order.folder)
    )

"""The image that a builder left in the engine, checked against the request."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from eci_convert.docker_build.request import BuildRequest
from eci_convert.errors import CannotHoldError, EciError
from eci_convert.oci.platform import Platform, matches

if TYPE_CHECKING:
    from eci_convert.transports.docker_daemon.engine import Engine, Json


def built_image_id(request: BuildRequest, engine: Engine, expected: Platform | None) -> str:
    """The id of the image that has been built; "" if it is for another platform than *expected*."""
    from eci_convert.transports.docker_daemon.engine import image_id

    inspected = engine.inspect_image(request.reference)
    return image_id(inspected, engine.host) if expected is None or _is_for(platform_of(inspected), expected) else ""


def _is_for(built: Platform, expected: Platform) -> bool:
    """Whether *built* suits; some engines do not tell the variant of an image (podman, Docker before 20.10)."""
    return matches(built if built.variant else replace(built, variant=expected.variant), expected)


def wrong_platform_error(request: BuildRequest, engine: Engine, expected: Platform | None) -> EciError:
    """The error that an image for another platform is."""
    built = platform_of(engine.inspect_image(request.reference))
    error = CannotHoldError(f"the Docker engine has built an image for {built} and not for {expected}")
    error.add_note("hint: --builder direct makes images for any platform on any engine")
    return error


def platform_of(inspected: Json) -> Platform:
    """The platform of an image, or of an engine."""
    os, architecture, variant = (str(inspected.get(key) or "") for key in ("Os", "Architecture", "Variant"))
    return Platform(os=os, architecture=architecture or str(inspected.get("Arch") or ""), variant=variant)

"""Builds with an engine, and checks the image before it gets its name: a COPY onto a directory goes into it."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace

from eci_convert.dialects.part_names import checked_name
from eci_convert.docker_build.builders import build
from eci_convert.docker_build.dockerfile import SCRATCH
from eci_convert.docker_build.request import BuildRequest
from eci_convert.errors import CannotHoldError, EciError, UnsupportedImageError
from eci_convert.model import RootfsFile
from eci_convert.oci.platform import Platform
from eci_convert.operations import inspect
from eci_convert.progress import warn
from eci_convert.reading.file_size import size_of_file
from eci_convert.reading.local_content import size_of_part
from eci_convert.transports import open_catalog, open_source
from eci_convert.transports.base import Source
from eci_convert.transports.settings import Settings

_ENGINE = "docker-daemon:"


def build_checked(request: BuildRequest, settings: Settings, *, builder: str, log: Callable[[str], object]) -> str:
    """The id of the image that *builder* has built of *request*. An image that fails the check does not get the name,
    and is removed: the name keeps the image that it had. Raises what `build` and `check_built` raise."""
    if _is_known_to_be_right(request):
        return build(request, settings, builder=builder, log=log)
    unchecked = f"eci-convert/unchecked:{secrets.token_hex(8)}"
    with open_catalog(_ENGINE, settings) as catalog:
        try:
            identity = build(replace(request, name=unchecked), settings, builder=builder, log=log)
            check_built(request, f"{_ENGINE}{identity}", settings)
            catalog.tag(unchecked, [request.reference])
        finally:
            with suppress(EciError):  # it may not have been built
                catalog.delete([unchecked])
    return identity


def check_built(request: BuildRequest, reference: str, settings: Settings) -> None:
    """Raises CannotHoldError unless the image *reference*, built of *request*, has each part where it says so.

    An image of a Dockerfile of the user's may be anything: where it declares no parts, that is a warning.
    """
    if _is_known_to_be_right(request):
        return
    with open_source(reference, settings) as source:
        for platform in request.platforms if len(request.platforms) > 1 else (None,):
            _check_image(request, source, platform, settings)


def _is_known_to_be_right(request: BuildRequest) -> bool:
    """Whether the image is of nothing but the parts."""
    return request.artifact is not None and request.base == SCRATCH


def _check_image(request: BuildRequest, source: Source, platform: Platform | None, settings: Settings) -> None:
    inspection = inspect.inspect(source, platform)
    if request.artifact is None and not inspection.dialect:
        warn(settings.reporter, f"{source.origin} declares no parts of a machine")
        return
    expected: dict[str, int | None] = {
        part.locator.path: None for part in inspection.artifact.parts if isinstance(part.locator, RootfsFile)
    }
    for part in request.artifact.parts if request.artifact else ():
        expected["/" + checked_name(part)] = size_of_part(part)
    for path, size in expected.items():
        try:
            built = size_of_file(source, inspection.image, path)
        except UnsupportedImageError as error:
            raise _wrong(request, source, str(error)) from error
        if size is not None and built != size:
            raise _wrong(request, source, f"{path!r} has {built} bytes, not the part's {size}")


def _wrong(request: BuildRequest, source: Source, reason: str) -> CannotHoldError:
    error = CannotHoldError(f"{source.origin} was built and is no good: {reason}")
    if request.artifact is not None:
        error.add_note(f"hint: {request.base} has something else where a part goes: choose another --base")
    return error

"""Checks what a builder of the engine has made, before success is reported: a COPY onto a directory goes into it."""

from __future__ import annotations

from eci_convert.dialects.part_names import checked_name
from eci_convert.docker_build.dockerfile import SCRATCH
from eci_convert.docker_build.request import BuildRequest
from eci_convert.errors import CannotHoldError, UnsupportedImageError
from eci_convert.model import RootfsFile
from eci_convert.oci.platform import Platform
from eci_convert.operations import inspect
from eci_convert.progress import warn
from eci_convert.reading.file_size import size_of_file
from eci_convert.reading.local_content import size_of_part
from eci_convert.transports import open_source
from eci_convert.transports.base import Source
from eci_convert.transports.settings import Settings


def check_built(request: BuildRequest, reference: str, settings: Settings) -> None:
    """Raises CannotHoldError unless the image *reference*, built of *request*, has each part where it says so.

    An image of nothing but the parts is known to be right. One of a Dockerfile of the user's may be anything: where it
    declares no parts, that is a warning.
    """
    if request.artifact is not None and request.base == SCRATCH:
        return
    with open_source(reference, settings) as source:
        for platform in request.platforms if len(request.platforms) > 1 else (None,):
            _check_image(request, source, platform, settings)


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

"""A look at what a builder of the engine has made, before success is said: a COPY onto a directory goes into it."""

from __future__ import annotations

from eci_convert import dialects
from eci_convert.dialects import part_names
from eci_convert.docker_build.dockerfile import SCRATCH
from eci_convert.docker_build.request import Order
from eci_convert.errors import CannotHold, LayoutError
from eci_convert.model import Rootfs
from eci_convert.oci.manifest import Platform
from eci_convert.operations import estimate, extract_request
from eci_convert.transports import open_source
from eci_convert.transports.base import Settings, Source


def check_built(order: Order, reference: str, settings: Settings) -> None:
    """Raises CannotHold unless the image *reference*, built of *order*, has each part where it says so.

    An image of nothing but the parts is known to be right. One of a Dockerfile of the user's may be anything: where it
    declares no parts, that is a warning.
    """
    if order.artifact is not None and order.base == SCRATCH:
        return
    with open_source(reference, settings) as source:
        for platform in order.platforms if len(order.platforms) > 1 else (None,):
            _check_image(order, source, platform, settings)


def _check_image(order: Order, source: Source, platform: Platform | None, settings: Settings) -> None:
    inspection = extract_request.inspect(source, platform)
    if order.artifact is None and inspection.dialect in ("", dialects.GUESSED):
        settings.reporter.warned(f"{source.origin} declares no parts of a machine")
        return
    expected: dict[str, int | None] = {
        part.locator.path: None for part in inspection.artifact.parts if isinstance(part.locator, Rootfs)
    }
    for part in order.artifact.parts if order.artifact else ():
        expected["/" + part_names.checked(part)] = estimate.of_part(part)
    for path, size in expected.items():
        try:
            built = estimate.of_file(source, inspection.image, path)
        except LayoutError as error:
            raise _wrong(order, source, str(error)) from error
        if size is not None and built != size:
            raise _wrong(order, source, f"{path!r} has {built} bytes, not the part's {size}")


def _wrong(order: Order, source: Source, reason: str) -> CannotHold:
    error = CannotHold(f"{source.origin} was built and is no good: {reason}")
    if order.artifact is not None:
        error.add_note(f"hint: {order.base} has something else where a part goes: choose another --base")
    return error

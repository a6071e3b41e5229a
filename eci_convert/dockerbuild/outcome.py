"""What a builder has left in the engine, and whether it is what was asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from eci_convert.dockerbuild.order import Order
from eci_convert.errors import CannotHold, EciError
from eci_convert.oci.manifest import Platform
from eci_convert.oci.select import suits

if TYPE_CHECKING:
    from eci_convert.transports.daemon.engine import Engine, Json


def identity(order: Order, engine: Engine) -> str:
    """The id of the image that has been built. Raises CannotHold if it is for another platform than *order* asks for:
    old engines pass over what they cannot do."""
    from eci_convert.transports.daemon.engine import image_id

    found = engine.inspected(order.reference)
    if len(order.platforms) == 1 and not suits(_platform(found), order.platforms[0]):
        raise _another(order, _platform(found))
    return image_id(found, engine.host)


def _platform(found: Json) -> Platform:
    os, architecture, variant = (str(found.get(key) or "") for key in ("Os", "Architecture", "Variant"))
    return Platform(os=os, architecture=architecture, variant=variant)


def _another(order: Order, platform: Platform) -> EciError:
    error = CannotHold(f"the Docker engine has built {order.reference} for {platform} and not for {order.platforms[0]}")
    error.add_note("hint: --builder direct makes images for any platform on any engine")
    return error

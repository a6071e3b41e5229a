"""An image that a command reads."""

from __future__ import annotations

from eci_convert.reading.open_image import open_image as open_image
from eci_convert.reading.open_image import suggesting as suggesting

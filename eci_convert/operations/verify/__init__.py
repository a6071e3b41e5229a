"""Is this image, or this directory of parts, what it claims to be?

Everything is checked even where something is wrong, as far as it can be read; nothing is written but by `repair`.

image_check.py  an image's manifests, configs and labels
layer_check.py  its layers, and the files in them
repair.py       the image written again, without what is wrong
report.py       Report: what was found
"""

from eci_convert.operations.verify.image_check import verify_image
from eci_convert.operations.verify.repair import fixed_index, repair, repair_source
from eci_convert.operations.verify.report import Problem, Report

__all__ = ["Problem", "Report", "fixed_index", "repair", "repair_source", "verify_image"]

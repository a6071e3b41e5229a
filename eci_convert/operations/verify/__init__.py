"""Verification of an image, or of a directory with its parts.

All problems are reported, as far as the image can be read; only `repair` writes.

image_check.py  an image's manifests, configs and labels
layer_check.py  its layers, and the files in them
repair.py       writes the image again with right diff ids and sizes
report.py       Report: the problems
"""

from eci_convert.operations.verify.image_check import verify_image
from eci_convert.operations.verify.repair import fixed_index, repair, repair_source
from eci_convert.operations.verify.report import Problem, Report

__all__ = ["Problem", "Report", "fixed_index", "repair", "repair_source", "verify_image"]

"""Is this image, or this directory of parts, what it claims to be?

    report      what was found, the gravest of it as the error to end with
    layers      every layer read once: its digest, its diff id, and what is looked for in it
    checks      the questions, and what is wrong with the answers
    repair      an image of the original `eci` written again, with right diff ids and sizes

Everything is checked even where something is wrong, as far as it can be read; nothing is written but by `fixed`.
"""

from eci_convert.operations.verify.image_check import check
from eci_convert.operations.verify.repair import fixed, fixed_index
from eci_convert.operations.verify.report import Finding, Report

__all__ = ["Finding", "Report", "check", "fixed", "fixed_index"]

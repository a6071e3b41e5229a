"""The reporter that `--progress` selects. The reporters are in eci_convert/display."""

from __future__ import annotations

import os
import sys

from eci_convert.display import terminal
from eci_convert.display.reporter import Silent, WarningsOnly

STYLES = ("auto", "plain", "json", "none")


def reporter(style: str, *, quiet: bool, debug: bool = False) -> WarningsOnly:
    """The reporter that *style*, one of STYLES, names; warnings are shown in any style but not when *quiet*.

    With *debug* a log is written between the lines of progress, so nothing may be redrawn.
    """
    if quiet:
        return Silent()
    match style:
        case "json":
            from eci_convert.display.json_lines import JsonProgress

            return JsonProgress()
        case "none":
            return WarningsOnly()
        case "auto" if terminal.can_redraw(sys.stderr, os.environ) and not debug:
            from eci_convert.display.rich import RichProgress

            return RichProgress()
        case _:
            from eci_convert.display.plain import PlainProgress

            return PlainProgress()

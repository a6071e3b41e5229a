"""Which reporter `--progress` asks for. The reporters themselves are in eci_convert/display."""

from __future__ import annotations

import os
import sys

from eci_convert.display import terminal
from eci_convert.progress import NULL_REPORTER, Reporter

STYLES = ("auto", "plain", "json", "none")


def reporter(style: str, *, quiet: bool, debug: bool = False) -> Reporter:
    """The reporter that *style*, one of STYLES, names; warnings are shown in any style but not when *quiet*.

    With *debug* a log is written between the lines of progress, so nothing may be redrawn.
    """
    if quiet:
        return NULL_REPORTER
    match style:
        case "json":
            from eci_convert.display.json_lines import JsonProgress

            return JsonProgress()
        case "none":
            from eci_convert.display.reporter import WarningsOnly

            return WarningsOnly()
        case "auto" if terminal.can_redraw(sys.stderr, os.environ) and not debug:
            from eci_convert.display.rich import RichProgress

            return RichProgress()
        case _:
            from eci_convert.display.plain import PlainProgress

            return PlainProgress()


def close(reporter: Reporter) -> None:
    """Shows the last of what *reporter* has to show, before results or an error are printed."""
    end = getattr(reporter, "close", None)
    if end is not None:
        end()

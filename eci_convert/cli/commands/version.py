"""`eci-convert version`: the same as `--version`."""

from __future__ import annotations

import click

from eci_convert._version import __version__
from eci_convert.cli.command import Command
from eci_convert.cli.output import line
from eci_convert.cli.param_types import EXAMPLES


@click.command(cls=Command, epilog=f"{EXAMPLES}eci-convert version")
def version() -> None:
    """Print the version of this program."""
    line(f"eci-convert {__version__}")

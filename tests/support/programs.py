"""Programs that tests start: the same Python, the same eci_convert, and the tests' own modules behind it."""

from __future__ import annotations

import sys
import textwrap
from pathlib import Path

_ROOT = Path(__file__).parents[2]


def python(program: str, *arguments: str | Path) -> list[str]:
    """The command that runs *program*, a text, with *arguments* in `sys.argv[1:]`.

    The repository comes last in its path: what is installed goes before what is in the tree.
    """
    text = f"import sys; sys.path.append({str(_ROOT)!r})\n{textwrap.dedent(program)}"
    return [sys.executable, "-c", text, *map(str, arguments)]

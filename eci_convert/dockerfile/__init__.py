"""Dockerfiles for machines: pure but for the names of files, and for a context that is made on demand.

text.py      the Dockerfile
words.py     what it says, in words that no builder reads otherwise
context.py   where the parts lie

    sources = located(artifact, Path("."))        or staged(artifact, Path("context"))
    print(render(artifact, sources))
"""

from __future__ import annotations

from eci_convert.dockerfile.context import IGNORE, constant_names, located, staged
from eci_convert.dockerfile.text import SCRATCH, render

__all__ = ["IGNORE", "SCRATCH", "constant_names", "located", "render", "staged"]

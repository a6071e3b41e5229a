"""Dockerfiles for machines, and build contexts for them.

render.py   the Dockerfile
quoting.py  quoting that every builder parses alike
staging.py  the paths of the parts in a context; a context in a directory

    sources = located(artifact, Path("."))        or staged(artifact, Path("context"))
    print(render(artifact, sources))
"""

from __future__ import annotations

from eci_convert.docker_build.dockerfile.render import SCRATCH, render
from eci_convert.docker_build.dockerfile.staging import IGNORE, context_names, paths_in_context, stage_context

__all__ = ["IGNORE", "SCRATCH", "context_names", "paths_in_context", "render", "stage_context"]

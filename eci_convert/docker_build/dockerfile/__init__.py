"""Dockerfiles for machines: pure but for the names of files, and for a context that is made on demand.

docker_build/dockerfile/render.py      the Dockerfile
docker_build/dockerfile/quoting.py     what it says, in words that no builder reads otherwise
docker_build/dockerfile/staging.py   where the parts lie

    sources = located(artifact, Path("."))        or staged(artifact, Path("context"))
    print(render(artifact, sources))
"""

from __future__ import annotations

from eci_convert.docker_build.dockerfile.render import SCRATCH, render
from eci_convert.docker_build.dockerfile.staging import IGNORE, context_names, paths_in_context, stage_context

__all__ = ["IGNORE", "SCRATCH", "context_names", "paths_in_context", "render", "stage_context"]

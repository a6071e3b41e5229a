"""A bundle to push, and what a registry got of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from eci_convert.testing import FaultyRegistry


def write_bundle(host: str, invocation: str = "src/hello-invoc:0.1.0", **images: str) -> Path:
    """A bundle.json in the current directory, whose images are at *host*."""
    components = {
        name: {"imageType": "oci", "description": "", "image": image if "." in image else f"{host}/{image}"}
        for name, image in images.items()
    }
    bundle = {
        "schemaVersion": "v1.0.0", "name": "shop", "version": "1.2", "description": "d",
        "invocationImages": [{"imageType": "oci", "image": f"{host}/{invocation}"}], "images": components,
    }  # fmt: skip
    Path("bundle.json").write_text(json.dumps(bundle))
    return Path("bundle.json")


def index_at(registry: FaultyRegistry, repository: str, tag: str) -> dict[str, Any]:
    return json.loads(registry.manifests[repository, tag][1])  # type: ignore[no-any-return]


def sent(registry: FaultyRegistry) -> list[str]:
    return [f"{one.method} {one.path}" for one in registry.requests if one.method not in ("GET", "HEAD")]

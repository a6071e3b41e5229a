"""The image store of podman: two layers, a sink and a source in a store, and its records as they are on the disk."""

from __future__ import annotations

import json
from pathlib import Path

from eci_convert.transports import open_sink, open_source
from eci_convert.transports.base import Sink, Source
from eci_convert.transports.settings import Settings
from tests.support.images import a_tar

FIRST = a_tar({"boot/": None, "boot/kernel": b"kernel"})
SECOND = a_tar({"root.raw": b"root" * 300})


def a_sink(root: Path, name: str = "x.io/machine:1", driver: str = "overlay", timeout: float = 5) -> Sink:
    return open_sink(f"containers-storage:[{driver}@{root}]{name}", Settings(timeout=timeout))


def a_source(root: Path, name: str = "x.io/machine:1", driver: str = "overlay") -> Source:
    return open_source(f"containers-storage:[{driver}@{root}]{name}", Settings(timeout=5))


def layers_of(root: Path, driver: str = "overlay") -> list[dict[str, object]]:
    found: list[dict[str, object]] = json.loads((root / f"{driver}-layers/layers.json").read_text())
    return found


def images_of(root: Path, driver: str = "overlay") -> list[dict[str, object]]:
    found: list[dict[str, object]] = json.loads((root / f"{driver}-images/images.json").read_text())
    return found

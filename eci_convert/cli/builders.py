"""The builders of the Docker engine, as `build` uses them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eci_convert.blueprint import Terms
from eci_convert.cli.arguments import Call


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What a builder of the engine is asked for."""

    tag: str
    destination: str
    base: str
    file: Path | None
    context: Path | None
    terms: Terms


def run(
    call: Call, builder: str, order: Order, words: Mapping[str, Any], digest_file: Path | None, *, dry_run: bool
) -> None:
    """Builds, and prints the image's id."""
    raise NotImplementedError

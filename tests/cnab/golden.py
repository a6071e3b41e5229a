"""What cnab-to-oci made of bundles, as it ran (tests/fixtures/cnab/README.md)."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent.parent / "fixtures" / "cnab"


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One recorded case: the bundle that was given, the calls, and the documents that came of them."""

    name: str
    bundle: bytes
    commands: list[dict[str, Any]]
    documents: dict[str, Any]

    def command(self, verb: str) -> dict[str, Any] | None:
        """The recorded call of *verb*, None where there was none."""
        return next((call for call in self.commands if call["argv"][1] == verb), None)

    def text(self, name: str) -> bytes:
        """The recorded document *name*."""
        return str(self.documents[name]).encode()


@cache
def case(name: str) -> Case:
    data = json.loads((FOLDER / f"{name}.json").read_text())
    documents = {key: value for key, value in data.items() if key not in ("case", "bundle.json", "commands")}
    return Case(name=name, bundle=data["bundle.json"].encode(), commands=data["commands"], documents=documents)


def cases() -> list[str]:
    """The names of all recorded cases."""
    return sorted(path.stem for path in FOLDER.glob("*.json"))

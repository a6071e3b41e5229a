"""The catalog contract over containerd."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.contract.catalogs import CatalogContract, Place
from tests.support.fake_containerd import a_containerd


class TestContainerd(CatalogContract):
    @contextmanager
    def opened(self, directory: Path) -> Iterator[Place]:
        with a_containerd(directory) as containerd:
            yield Place(
                reference="containerd:{}",
                root="containerd:",
                settings=containerd.settings,
                shown=lambda name: f"docker.io/library/{name}",
            )

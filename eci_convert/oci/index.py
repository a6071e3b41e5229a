"""Image indexes: what they list, and which of their entries is the image for a platform."""

from __future__ import annotations

from eci_convert.errors import LayoutError
from eci_convert.oci.manifest import Index

KIND = "io.cnab.manifest.type"
"""An annotation of each entry: `config`, `invocation` or `component`."""

COMPONENT = "io.cnab.component.name"
"""An annotation of a component: its name in the bundle."""

HINT = (
    "hint: `eci-convert cnab pull` writes its bundle.json, `copy` copies all of it, and one of its images is "
    "NAME@sha256:…"
)


class IsBundle(LayoutError):
    """One image was asked for, and *index* is a bundle."""

    def __init__(self, index: Index, where: str) -> None:
        images = [entry for entry in index.manifests if entry.annotations.get(KIND) != "config"]
        names = (f"{entry.annotations.get(COMPONENT, 'invocation image')} {entry.digest.short}" for entry in images)
        super().__init__(f"{where} is a CNAB bundle and not one image: it has {', '.join(names) or 'no images'}")
        self.index = index
        self.add_note(HINT)


def is_bundle(index: Index) -> bool:
    """Whether *index* is a bundle: one of its entries is the bundle's description."""
    return any(entry.annotations.get(KIND) == "config" for entry in index.manifests)


def check_no_bundle(index: Index, where: str) -> None:
    """Raises IsBundle if *index*, which was found at *where*, is a bundle."""
    if is_bundle(index):
        raise IsBundle(index, where)

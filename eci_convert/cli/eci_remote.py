"""Where `eci`'s `--remote` points (specs/eci.md §4)."""

from __future__ import annotations

from dataclasses import dataclass, replace

from eci_convert.errors import UsageError
from eci_convert.pack import Strict
from eci_convert.transports import open_sink, open_source, parse
from eci_convert.transports.base import Settings, Sink, Source


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A name in a place, to be read or written."""

    reference: str
    settings: Settings

    def source(self) -> Source:
        """The name, to be read."""
        return open_source(self.reference, self.settings, "docker")

    def strictness(self) -> Strict | None:
        """What is known of a registry's rules for manifests; None of other places, and with `--compat strict`."""
        scheme, rest = parse(self.reference, "docker")
        if scheme.name != "docker" or self.settings.compat != "auto":
            return None
        from eci_convert.oci.reference import Reference
        from eci_convert.transports.registry.state.host_facts import Strictness

        return Strictness(Reference.parse(rest).host, self.settings)

    def sink(self) -> Sink:
        """The name, to be written. In a directory it comes first: that is the one that the original `eci` pulls."""
        scheme, rest = parse(self.reference, "docker")
        if scheme.name == "oci":
            from eci_convert.transports.layout import directory as layout_directory

            return layout_directory.open_sink(rest, self.settings, first=True)
        return open_sink(self.reference, self.settings, "docker")


def place(remote: str, image: str, settings: Settings) -> Place:
    """The name *image* in *remote*: "" is a registry, `/DIR` or `file:///DIR` a directory of images, and
    `containerd:/SOCKET` a containerd. Raises UsageError."""
    directory = remote.removeprefix("file://")
    if not remote:
        return Place(reference=image, settings=settings)
    if directory.startswith("/"):
        return Place(reference=f"oci:{directory}:{image}", settings=settings)
    if remote.startswith("containerd:/"):
        return Place(
            reference=f"containerd:{image}", settings=replace(settings, address=remote.removeprefix("containerd:"))
        )
    error = UsageError(f"--remote {remote!r} is no place that eci-convert knows")
    error.add_note("hint: leave it empty for a registry, or give /DIR, file:///DIR or containerd:/SOCKET")
    raise error

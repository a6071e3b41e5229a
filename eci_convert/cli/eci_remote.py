"""The place that `eci`'s `--remote` names (docs/specs/eci.md#4)."""

from __future__ import annotations

from dataclasses import dataclass, replace

from eci_convert.cli.common_options import CommonOptions
from eci_convert.errors import UsageError
from eci_convert.transports import open_sink, open_source, parse_reference
from eci_convert.transports.base import Sink, Source
from eci_convert.transports.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Remote:
    """A name in a place, to be read or written."""

    reference: str
    settings: Settings

    def source(self) -> Source:
        """The name, to be read."""
        return open_source(self.reference, self.settings, "docker")

    def sink(self) -> Sink:
        """The name, to be written. In a directory it comes first: that is the one that the original `eci` pulls."""
        scheme, rest = parse_reference(self.reference, "docker")
        if scheme.name == "oci":
            from eci_convert.transports.layout import directory as layout_directory

            return layout_directory.open_sink(rest, self.settings, first=True)
        return open_sink(self.reference, self.settings, "docker")


def check_remote(call: CommonOptions, remote: str) -> None:
    """Raises UsageError where `--address` and *remote* both name a socket."""
    reason = "--remote names containerd's socket: --address has no effect" if remote.startswith("containerd:") else ""
    call.unless(reason, "address", None, None)


def remote_from_options(remote: str, image: str, settings: Settings) -> Remote:
    """The name *image* in *remote*: "" is a registry, `/DIR` or `file:///DIR` a directory of images, and
    `containerd:/SOCKET` a containerd. Raises UsageError."""
    directory = remote.removeprefix("file://")
    if not remote:
        return Remote(reference=image, settings=settings)
    if directory.startswith("/"):
        return Remote(reference=f"oci:{directory}:{image}", settings=settings)
    if remote.startswith("containerd:/"):
        return Remote(
            reference=f"containerd:{image}", settings=replace(settings, address=remote.removeprefix("containerd:"))
        )
    error = UsageError(f"unknown --remote {remote!r}")
    error.add_note("hint: leave it empty for a registry, or give /DIR, file:///DIR or containerd:/SOCKET")
    raise error

"""Options that have no effect on the format or the place that an image is written to: errors that say why."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from eci_convert.cli.common_options import CommonOptions
from eci_convert.compression.codec import Codec, Compression
from eci_convert.dialects import IGNORED
from eci_convert.errors import UsageError
from eci_convert.transports import parse_reference

_LACKS = {
    "author": ("--author", "does not name its author"),
    "labels": ("--label", "has no labels"),
    "annotations": ("--annotation", "has no annotations"),
    "compression": ("--compression", "has no layers that could be compressed otherwise"),
    "platforms": ("--platform", "does not name its platform"),
    "os": ("--OS", "does not name its platform"),
    "arch": ("--arch", "does not name its platform"),
}
_EMPTY: Mapping[str, Any] = {
    "author": "lf-edge/edge-containers", "labels": (), "annotations": (), "compression": "gzip", "os": "", "arch": "",
}  # fmt: skip


def check_format(call: CommonOptions, format: str, words: dict[str, Any]) -> None:
    """Puts their defaults in the place of those of *words*, the parameters of a command, that an image of *format*
    has no room for. Raises UsageError where the command line gives one of them."""
    ignored = IGNORED.get(format, frozenset())
    for name in tuple(words):
        field = "platform" if name in ("os", "arch", "platforms") else name
        if name in _LACKS and field in ignored:
            option, why = _LACKS[name]
            reason = f"{option} has no effect: an image of the format {format!r} {why}"
            value = call.unless(reason, name, words[name], _EMPTY.get(name))
            words[name] = value
    for name, option, form in (("also", "--also", "legacy"), ("plat", "--plat", "unikraft")):
        if name in words and format not in (form, "keep"):
            reason = f"{option} has no effect: an image of the format {format!r} has no place for it"
            words[name] = call.unless(f"{reason}, one of {form!r} has", name, words[name], type(words[name])())


def check_compression(call: CommonOptions, reference: str, compression: str | None, default: str = "") -> str | None:
    """*compression*, unless the place of *reference* keeps its layers uncompressed. Raises UsageError where the command
    line asks for a compression there. *default* is the transport of a bare name."""
    scheme, _ = parse_reference(reference, default)
    if not compression or not scheme.uncompressed or Codec.parse(compression).compression is Compression.NONE:
        return compression
    reason = f"--compression has no effect: {scheme.what} keeps layers uncompressed"
    return call.unless(reason, "compression", compression, None)


def check_annotations(
    call: CommonOptions, reference: str, annotations: tuple[tuple[str, str], ...], default: str = ""
) -> tuple[tuple[str, str], ...]:
    """*annotations*, unless *reference* is in an archive that keeps no manifest. Raises UsageError where the command
    line gives them. *default* is the transport of a bare name."""
    scheme, _ = parse_reference(reference, default)
    reason = "--annotation has no effect: a docker-archive keeps no manifest"
    return call.unless(reason if scheme.name == "docker-archive" else "", "annotations", annotations, ())


def check_trust_type(call: CommonOptions, words: dict[str, Any]) -> None:
    """Raises UsageError where the command line gives `--trust-type` and no disk."""
    reason = "" if words["root"] or words["disks"] else "--trust-type has no effect: there is no disk"
    words["trust_type"] = call.unless(reason, "trust_type", words["trust_type"], False)


def check_platform_options(call: CommonOptions, os: str, arch: str) -> None:
    """Raises UsageError where the command line says the platform in two ways."""
    if "platforms" in call.given and {"os", "arch"} & call.given:
        option = "--arch" if arch and "arch" in call.given else "--OS"
        raise UsageError(f"--platform names both the operating system and the architecture: {option} excludes it")

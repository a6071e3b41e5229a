"""Options about the image to write; one without effect on the format or the place is an error.

The functions take and change *words*: parameters of a command by their names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from eci_convert.cli import part_options
from eci_convert.cli.options import CommonOptions, created_time
from eci_convert.compression.codec import Codec, Compression
from eci_convert.dialects import IGNORED
from eci_convert.dialects.blueprint import WriteOptions
from eci_convert.errors import UsageError
from eci_convert.oci.platform import Platform
from eci_convert.transports import image_name, parse_reference

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
    """Puts their defaults in the place of those of *words* that an image of *format* has no room for. Raises UsageError
    where the command line gives one of them."""
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


def check_place(call: CommonOptions, reference: str, words: dict[str, Any], default: str = "") -> None:
    """Drops the compression and the annotations of *words* that the place of *reference* does not keep. Raises
    UsageError where the command line gives them. *default* is the transport of a bare name."""
    scheme, _ = parse_reference(reference, default)
    reason = "--annotation has no effect: a docker-archive keeps no manifest" if scheme.name == "docker-archive" else ""
    words["annotations"] = call.unless(reason, "annotations", words["annotations"], ())
    compression = words["compression"]
    if compression and scheme.uncompressed and Codec.parse(compression).compression is not Compression.NONE:
        reason = f"--compression has no effect: {scheme.what} keeps layers uncompressed"
        words["compression"] = call.unless(reason, "compression", compression, None)


def check_trust_type(call: CommonOptions, words: dict[str, Any]) -> None:
    """Raises UsageError where the command line gives `--trust-type` and no disk."""
    reason = "" if words["root"] or words["disks"] else "--trust-type has no effect: there is no disk"
    words["trust_type"] = call.unless(reason, "trust_type", words["trust_type"], False)


def check_platform_options(call: CommonOptions, os: str, arch: str) -> None:
    """Raises UsageError if `--platform` is combined with `--OS` or `--arch`."""
    if "platforms" in call.given and {"os", "arch"} & call.given:
        option = "--arch" if arch and "arch" in call.given else "--OS"
        raise UsageError(f"--platform names both the operating system and the architecture: {option} excludes it")


def write_options(
    reference: str, format: str, words: Mapping[str, Any], platform: Platform | None, default: str = ""
) -> WriteOptions:
    """The WriteOptions of *words*, which have been checked, for an image of *format* at *reference*. *platform* is the
    value of `--platform`, which `--OS` and `--arch` override; *default* is the transport of a bare name. Raises
    UsageError."""
    return WriteOptions(
        platform=part_options.platform(platform, words.get("os", ""), words.get("arch", "")),
        author=words.get("author", _EMPTY["author"]),
        created=created_time(),
        labels=dict(words["labels"]),
        annotations=dict(words["annotations"]),
        name=image_name(reference, default),
        extra_dialects=words.get("also", ()),
        system=part_options.system(words["plat"], format),
    )

"""Platforms, and whether an image runs on one.

Names and the order of variants are those of containerd's `platforms` package (v1.0: `Normalize`, `Parse`, `Only`),
which Docker, containerd and BuildKit use. One exception: 32-bit images do not match 64-bit platforms (`386` for
`amd64`, `arm` for `arm64`), because images here are booted, and not run by a kernel that supports both.
"""

from __future__ import annotations

import platform as machine
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Final, Self

from eci_convert.errors import UnsupportedImageError, UsageError
from eci_convert.oci import json_fields
from eci_convert.oci.json_fields import Fields

_ARCHITECTURES: Final = {
    "x86_64": ("amd64", ""),
    "x86-64": ("amd64", ""),
    "aarch64": ("arm64", ""),
    "armhf": ("arm", "v7"),
    "armel": ("arm", "v6"),
    "armv7l": ("arm", "v7"),
    "armv6l": ("arm", "v6"),
    "i686": ("386", ""),
    "i386": ("386", ""),
}
"""Aliases of architectures, and the variant that each implies; those of uname are not in containerd's table."""
_VARIANTS: Final = {
    "amd64": {"v1": ""},
    "arm64": {"8": "", "v8": "", "v8.0": "", "8.0": "", "9": "v9", "9.0": "v9", "v9.0": "v9"},
    "arm": {"": "v7", "5": "v5", "6": "v6", "7": "v7", "8": "v8"},
}


_WORD = re.compile(r"[A-Za-z0-9_.+-]+", re.ASCII)


def parse_platform(text: str) -> Platform:
    """The platform `OS/ARCH[/VARIANT]`. Raises UsageError.

    >>> str(parse_platform("linux/aarch64"))
    'linux/arm64'
    """
    parts = text.split("/")
    if len(parts) not in (2, 3) or not all(_WORD.fullmatch(word) for word in parts):
        raise UsageError(f"{text!r} is not a platform: write OS/ARCH or OS/ARCH/VARIANT, such as linux/amd64")
    os, architecture, variant = (*parts, "")[:3]
    parsed = normalized(Platform(os=os, architecture=architecture, variant=variant))
    match parsed.architecture, parsed.variant:  # a default variant is shown only if the user gave it
        case "arm", "v7" if len(parts) == 2:
            return replace(parsed, variant="")
        case "arm64", "" if len(parts) == 3:
            return replace(parsed, variant="v8")
    return parsed


def normalized(platform: Platform) -> Platform:
    """*platform* with canonical names: `linux/arm` and `linux/armhf` become `linux/arm/v7`.

    >>> str(normalized(Platform(os="Linux", architecture="aarch64", variant="v8")))
    'linux/arm64'
    """
    os, architecture, variant = platform.os.lower(), platform.architecture.lower(), platform.variant.lower()
    os = "darwin" if os == "macos" else os
    if architecture in _ARCHITECTURES:
        architecture, implied = _ARCHITECTURES[architecture]
        variant = "" if architecture == "386" else implied or variant
    variant = _VARIANTS.get(architecture, {}).get(variant, variant)
    return replace(platform, os=os, architecture=architecture, variant=variant)


def host_platform() -> Platform:
    """The platform of this computer. The os is linux, which containers run on."""
    return parse_platform(f"linux/{machine.machine()}")


def check_platform(offered: Platform | None, requested: Platform, where: str) -> None:
    """Raises UnsupportedImageError if an image with a declared platform is for another one than *requested*."""
    if offered and offered.os and offered.architecture and not matches(offered, requested):
        error = UnsupportedImageError(f"{where} has no image for {requested}: it has {offered}")
        error.add_note("hint: omit --platform to use it as it is")
        raise error


def matches(offered: Platform, requested: Platform) -> bool:
    """Whether an image for *offered* runs on *requested*: os and architecture are equal, the variant is not higher."""
    return variant_rank(offered, requested) is not None


def variant_rank(offered: Platform, requested: Platform) -> int | None:
    """How far the *offered* variant is below the *requested* one; None if it does not match."""
    offered, requested = normalized(offered), normalized(requested)
    if (offered.os, offered.architecture) != (requested.os, requested.architecture):
        return None
    if requested.architecture not in _VARIANTS:  # the variants of other architectures have no defined order
        return 0 if not requested.variant or offered.variant in (requested.variant, "") else None
    return next((rank for rank, one in enumerate(_variants(requested)) if one == offered.variant), None)


def _variants(requested: Platform) -> Iterator[str]:
    """The variants that run on that of *requested*, which is normalized, the best one first."""
    yield requested.variant
    number = re.fullmatch(r"v([0-9]{1,2})(?:\.([0-9]{1,2}))?", requested.variant, re.ASCII)
    major, minor = (int(number[1]), int(number[2] or 0)) if number else (0, 0)
    match requested.architecture:
        case "amd64":
            yield from (f"v{lower}" if lower > 1 else "" for lower in range(major - 1, 0, -1))
        case "arm":
            yield from (f"v{lower}" for lower in range(major - 1, 4, -1))
        case "arm64" if major in (8, 9):
            if major == 9:
                yield from (f"v9.{lower}" if lower else "v9" for lower in range(minor - 1, -1, -1))
                minor += 6  # ARMv9.0 includes ARMv8.5
            yield from (f"v8.{lower}" if lower else "" for lower in range(minor - 1, -1, -1))


def effective_platform(listed: Platform | None, *declared: Platform | None) -> Platform | None:
    """The first of the *declared* platforms, with the variant of another one: few configs have a variant.

    The platform *listed* in an index takes precedence, as when an image is selected: an index may list an image twice.
    """
    platforms = [platform for platform in (*declared, listed) if platform]
    if listed and listed.os and listed.architecture and not any(matches(one, listed) for one in platforms[:-1]):
        return listed
    if not platforms or platforms[0].variant:
        return platforms[0] if platforms else None
    first = platforms[0]
    alike = (one for one in platforms if (one.os, one.architecture) == (first.os, first.architecture))
    return replace(first, variant=next((one.variant for one in alike if one.variant), ""))


@dataclass(frozen=True, slots=True, kw_only=True)
class Platform:
    """The platform of an image (image-spec v1.1.1, image-index.md) in Go's terms, as in `linux/arm64/v8`."""

    os: str
    architecture: str
    variant: str = ""
    os_version: str = ""
    os_features: tuple[str, ...] = ()

    @classmethod
    def parse(cls, text: str) -> Platform:
        """The platform written as `OS/ARCH[/VARIANT]`. Raises UsageError."""
        return parse_platform(text)

    @classmethod
    def from_json(cls, data: Fields, where: str) -> Self:
        """The platform in the JSON object *data*. Raises FormatError."""
        features = json_fields.optional(data, "os.features", list, where, [])
        return cls(
            os=json_fields.optional(data, "os", str, where, ""),
            architecture=json_fields.optional(data, "architecture", str, where, ""),
            variant=json_fields.optional(data, "variant", str, where, ""),
            os_version=json_fields.optional(data, "os.version", str, where, ""),
            os_features=tuple(
                json_fields.typed(text, str, f"{where}.os.features[{index}]") for index, text in enumerate(features)
            ),
        )

    def json(self) -> dict[str, Any]:
        """The JSON object, without empty fields other than os and architecture."""
        rest = {"os.version": self.os_version, "os.features": list(self.os_features), "variant": self.variant}
        return {"architecture": self.architecture, "os": self.os} | {key: value for key, value in rest.items() if value}

    def __str__(self) -> str:
        return "/".join(filter(None, (self.os, self.architecture, self.variant)))

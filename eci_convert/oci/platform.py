"""One image out of an index: which entry suits a platform.

Names and the order of variants are those of containerd's `platforms` package (v1.0: `Normalize`, `Parse`, `Only`), with
which Docker, containerd and BuildKit choose. One thing is not taken from it: 32 bits for a 64-bit machine (`386` for
`amd64`, `arm` for `arm64`), for what is chosen here is to boot, and not to run beside a kernel that can do both.
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
"""Other names of architectures, and the variant that such a name implies; uname's are not in containerd's table."""
_VARIANTS: Final = {
    "amd64": {"v1": ""},
    "arm64": {"8": "", "v8": "", "v8.0": "", "8.0": "", "9": "v9", "9.0": "v9", "v9.0": "v9"},
    "arm": {"": "v7", "5": "v5", "6": "v6", "7": "v7", "8": "v8"},
}


_WORD = re.compile(r"[A-Za-z0-9_.+-]+", re.ASCII)


def parse_platform(text: str) -> Platform:
    """The platform that a user spells `OS/ARCH[/VARIANT]`. Raises UsageError.

    >>> str(parse_platform("linux/aarch64"))
    'linux/arm64'
    """
    words = text.split("/")
    if len(words) not in (2, 3) or not all(_WORD.fullmatch(word) for word in words):
        raise UsageError(f"{text!r} is not a platform: write OS/ARCH or OS/ARCH/VARIANT, such as linux/amd64")
    os, architecture, variant = (*words, "")[:3]
    parsed = normalized(Platform(os=os, architecture=architecture, variant=variant))
    match parsed.architecture, parsed.variant:  # variants that go without saying are said only where the user did
        case "arm", "v7" if len(words) == 2:
            return replace(parsed, variant="")
        case "arm64", "" if len(words) == 3:
            return replace(parsed, variant="v8")
    return parsed


def normalized(platform: Platform) -> Platform:
    """*platform* with one name for each thing: of `linux/arm` and `linux/armhf` that is `linux/arm/v7`.

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
    """The platform of this computer. The os is linux: it is what containers run on."""
    return parse_platform(f"linux/{machine.machine()}")


def check_platform(offered: Platform | None, asked: Platform, where: str) -> None:
    """Raises LayoutError where an image that says what it is for is for another platform than the one *asked* for."""
    if offered and offered.os and offered.architecture and not matches(offered, asked):
        error = UnsupportedImageError(f"{where} has no image for {asked}: it has {offered}")
        error.add_note("hint: omit --platform to use it as it is")
        raise error


def matches(offered: Platform, asked: Platform) -> bool:
    """Whether an image for *offered* runs on *asked*: os and architecture are equal, the variant is not higher."""
    return variant_rank(offered, asked) is not None


def variant_rank(offered: Platform, asked: Platform) -> int | None:
    """How far below the variant that is *asked* for the *offered* one is; None if it does not suit."""
    offered, asked = normalized(offered), normalized(asked)
    if (offered.os, offered.architecture) != (asked.os, asked.architecture):
        return None
    if asked.architecture not in _VARIANTS:  # nobody has put the variants of others in an order
        return 0 if not asked.variant or offered.variant in (asked.variant, "") else None
    return next((rank for rank, one in enumerate(_variants(asked)) if one == offered.variant), None)


def _variants(asked: Platform) -> Iterator[str]:
    """The variants that run on the one of *asked*, which is normalized, the best one first."""
    yield asked.variant
    number = re.fullmatch(r"v([0-9]{1,2})(?:\.([0-9]{1,2}))?", asked.variant, re.ASCII)
    major, minor = (int(number[1]), int(number[2] or 0)) if number else (0, 0)
    match asked.architecture:
        case "amd64":
            yield from (f"v{lower}" if lower > 1 else "" for lower in range(major - 1, 0, -1))
        case "arm":
            yield from (f"v{lower}" for lower in range(major - 1, 4, -1))
        case "arm64" if major in (8, 9):
            if major == 9:
                yield from (f"v9.{lower}" if lower else "v9" for lower in range(minor - 1, -1, -1))
                minor += 6  # ARMv9.0 has all that ARMv8.5 has
            yield from (f"v8.{lower}" if lower else "" for lower in range(minor - 1, -1, -1))


def told_platform(listed: Platform | None, *told: Platform | None) -> Platform | None:
    """The first that is *told*, with the variant that another one may tell of it: few configs name theirs.

    An index that has it *listed* for another one is right, as it is when one is chosen: it may list an image twice.
    """
    known = [platform for platform in (*told, listed) if platform]
    if listed and listed.os and listed.architecture and not any(matches(one, listed) for one in known[:-1]):
        return listed
    if not known or known[0].variant:
        return known[0] if known else None
    first = known[0]
    alike = (one for one in known if (one.os, one.architecture) == (first.os, first.architecture))
    return replace(first, variant=next((one.variant for one in alike if one.variant), ""))


@dataclass(frozen=True, slots=True, kw_only=True)
class Platform:
    """What an image runs on (image-spec v1.1.1, image-index.md): Go's words, as in `linux/arm64/v8`."""

    os: str
    architecture: str
    variant: str = ""
    os_version: str = ""
    os_features: tuple[str, ...] = ()

    @classmethod
    def parse(cls, data: Fields, where: str) -> Self:
        """The platform that the JSON object *data* tells. Raises FormatError."""
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
        """The JSON object, empty fields left out but os and architecture, which always stand."""
        rest = {"os.version": self.os_version, "os.features": list(self.os_features), "variant": self.variant}
        return {"architecture": self.architecture, "os": self.os} | {key: value for key, value in rest.items() if value}

    def __str__(self) -> str:
        return "/".join(filter(None, (self.os, self.architecture, self.variant)))

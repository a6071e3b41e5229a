"""One image out of an index: which entry suits a platform."""

from __future__ import annotations

import platform as machine
import re

from eci_convert.errors import LayoutError, UsageError
from eci_convert.oci import mediatype
from eci_convert.oci.bundles import check_no_bundle
from eci_convert.oci.manifest import Descriptor, Index, Platform

_ARCHITECTURES = {
    "x86_64": "amd64",
    "x86-64": "amd64",
    "aarch64": "arm64",
    "armhf": "arm",
    "armv7l": "arm",
    "i686": "386",
    "i386": "386",
}
_ATTESTATION = "vnd.docker.reference.type"
_WORD = re.compile(r"[A-Za-z0-9_.+-]+", re.ASCII)


def parse_platform(text: str) -> Platform:
    """The platform that a user spells `OS/ARCH[/VARIANT]`. Raises UsageError.

    >>> str(parse_platform("linux/aarch64"))
    'linux/arm64'
    """
    words = text.split("/")
    if len(words) not in (2, 3) or not all(_WORD.fullmatch(word) for word in words):
        raise UsageError(f"{text!r} is not a platform: write OS/ARCH or OS/ARCH/VARIANT, such as linux/amd64")
    variant = words[2] if len(words) == 3 else ""
    return Platform(os=words[0], architecture=_ARCHITECTURES.get(words[1], words[1]), variant=variant)


def here() -> Platform:
    """The platform of this computer, its variant left open. The os is linux: it is what containers run on."""
    return Platform(os="linux", architecture=_ARCHITECTURES.get(machine.machine(), machine.machine()))


def candidates(index: Index) -> tuple[Descriptor, ...]:
    """The entries of *index* that are images: attestations and entries for `unknown/unknown` are passed over."""
    return tuple(
        entry
        for entry in index.manifests
        if entry.media_type in mediatype.DOCUMENTS | {""}
        and _ATTESTATION not in entry.annotations
        and not (entry.platform and entry.platform.os == "unknown" and entry.platform.architecture == "unknown")
    )


def select(index: Index, wanted: Platform | None, where: str = "index") -> Descriptor:
    """The entry of *index* for *wanted*; where nothing is wanted, the only image, else the one for this computer.

    Of several that suit, the first wins, but one whose variant is the wanted one goes before one that names none.
    Raises LayoutError that lists what there is.
    """
    check_no_bundle(index, where)
    images = candidates(index)
    if wanted is None and len(images) == 1:
        return images[0]
    asked = wanted or here()
    suiting = [entry for entry in images if entry.platform and suits(entry.platform, asked)]
    suiting.sort(key=lambda entry: entry.platform is None or entry.platform.variant != asked.variant)
    if suiting:
        return suiting[0]
    there = (
        ", ".join(sorted({str(entry.platform) if entry.platform else "(none named)" for entry in images})) or "nothing"
    )
    error = LayoutError(f"{where} has no image for {asked}: it has {there}")
    error.add_note("hint: choose one with --platform OS/ARCH")
    raise error


def check(offered: Platform | None, asked: Platform, where: str) -> None:
    """Raises LayoutError where an image that says what it is for is for another platform than the one *asked* for."""
    if offered and offered.os and offered.architecture and not suits(offered, asked):
        error = LayoutError(f"{where} has no image for {asked}: it has {offered}")
        error.add_note("hint: leave --platform out to take it as it is")
        raise error


def suits(offered: Platform, asked: Platform) -> bool:
    """Whether an image for *offered* is one for *asked*: os and architecture are equal, a variant asked for too."""
    return (
        offered.os == asked.os
        and _ARCHITECTURES.get(offered.architecture, offered.architecture)
        == _ARCHITECTURES.get(asked.architecture, asked.architecture)
        and (not asked.variant or offered.variant in (asked.variant, ""))
    )

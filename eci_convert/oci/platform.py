"""One image out of an index: which entry suits a platform.

Names and the order of variants are those of containerd's `platforms` package (v1.0: `Normalize`, `Parse`, `Only`), with
which Docker, containerd and BuildKit choose. One thing is not taken from it: 32 bits for a 64-bit machine (`386` for
`amd64`, `arm` for `arm64`), for what is chosen here is to boot, and not to run beside a kernel that can do both.
"""

from __future__ import annotations

import platform as machine
import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from eci_convert.errors import LayoutError, UsageError
from eci_convert.oci import media_types
from eci_convert.oci.index import check_no_bundle
from eci_convert.oci.manifest import Descriptor, Index, Platform

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
_DESCRIBED: Final = 8  # entries that an error lists
_NEUTRAL: Final = ("org.opencontainers.", "io.containerd.")
"""Annotations that do not make two entries different things: names, versions, descriptions."""
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


def here() -> Platform:
    """The platform of this computer. The os is linux: it is what containers run on."""
    return parse_platform(f"linux/{machine.machine()}")


def candidates(index: Index) -> tuple[Descriptor, ...]:
    """The entries of *index* that are images: attestations and entries for `unknown/unknown` are passed over."""
    return tuple(
        entry
        for entry in index.manifests
        if entry.media_type in media_types.DOCUMENTS | {""}
        and _ATTESTATION not in entry.annotations
        and not (entry.platform and entry.platform.os == "unknown" and entry.platform.architecture == "unknown")
    )


def select(index: Index, wanted: Platform | None, where: str = "index") -> Descriptor:
    """The entry of *index* for *wanted*; where nothing is wanted, the only image, else the one for this computer.

    Of several that suit, the one with the highest variant wins, then one whose variant is spelt as the wanted one,
    then the first. Raises LayoutError that lists what there is, also where the winner has rivals that are something
    else by their annotations or artifact types.
    """
    check_no_bundle(index, where)
    images = candidates(index)
    if wanted is None and len(images) == 1:
        return images[0]
    asked = wanted or here()
    suiting = sorted(
        (rank, entry.platform.variant != asked.variant, number)
        for number, entry in enumerate(images)
        if entry.platform and (rank := _rank(entry.platform, asked)) is not None
    )
    if suiting:
        _check_alike([images[number] for rank, _, number in suiting if rank == suiting[0][0]], asked, where)
        return images[suiting[0][2]]
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
    """Whether an image for *offered* runs on *asked*: os and architecture are equal, the variant is not higher."""
    return _rank(offered, asked) is not None


def _rank(offered: Platform, asked: Platform) -> int | None:
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


def _check_alike(entries: list[Descriptor], asked: Platform, where: str) -> None:
    """Raises LayoutError unless *entries*, which suit equally well, are one kind of thing."""
    distinct = list({entry.digest: entry for entry in entries}.values())
    if all(_kind(entry) == _kind(distinct[0]) for entry in distinct):
        return
    listed = "; ".join(map(_described, distinct[:_DESCRIBED]))
    more = f"; and {len(distinct) - _DESCRIBED} more" if len(distinct) > _DESCRIBED else ""
    error = LayoutError(f"{where} has {len(distinct)} different images for {asked}: {listed}{more}")
    error.add_note("hint: name one by its digest, NAME@sha256:…; copy --all-platforms takes the whole index")
    raise error


def _kind(entry: Descriptor) -> tuple[str, dict[str, str]]:
    return entry.artifact_type, {key: value for key, value in entry.annotations.items() if not key.startswith(_NEUTRAL)}


def _described(entry: Descriptor) -> str:
    artifact_type, annotations = _kind(entry)
    marks = {"artifactType": artifact_type} if artifact_type else {}
    texts = [f"{key}={value}"[:120] for key, value in list((marks | annotations).items())[:4]]
    return " ".join([str(entry.digest), str(entry.platform), *texts])


def told_platform(listed: Platform | None, *told: Platform | None) -> Platform | None:
    """The first that is *told*, with the variant that another one may tell of it: few configs name theirs.

    An index that has it *listed* for another one is right, as it is when one is chosen: it may list an image twice.
    """
    known = [platform for platform in (*told, listed) if platform]
    if listed and listed.os and listed.architecture and not any(suits(one, listed) for one in known[:-1]):
        return listed
    if not known or known[0].variant:
        return known[0] if known else None
    first = known[0]
    alike = (one for one in known if (one.os, one.architecture) == (first.os, first.architecture))
    return replace(first, variant=next((one.variant for one in alike if one.variant), ""))

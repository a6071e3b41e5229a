"""An index restricted to some platforms, otherwise unchanged."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from eci_convert.errors import MissingPartError, UsageError
from eci_convert.oci import json_fields
from eci_convert.oci.descriptor import Descriptor
from eci_convert.oci.digest import Digest
from eci_convert.oci.index import Index
from eci_convert.oci.manifest import parse_manifest, to_json
from eci_convert.oci.platform import Platform, host_platform, parse_platform
from eci_convert.reading.manifests import Document

_DEFAULT_VARIANTS = {"arm": "v7", "arm64": "v8", "amd64": "v1"}
_SYSTEMS = frozenset(
    {"aix", "android", "darwin", "dragonfly", "freebsd", "hurd", "illumos", "ios", "js", "linux", "netbsd", "openbsd",
     "plan9", "solaris", "wasip1", "windows"}
)  # fmt: skip


def parse_platforms(texts: Sequence[str]) -> tuple[Platform, ...]:
    """The platforms that *texts* spell; a system or an architecture alone is completed as containerd does it.

    Raises UsageError.
    """
    return tuple(_parse(text) for text in texts)


def filter_index(document: Document, platforms: Sequence[Platform], where: str) -> Document:
    """*document*, an index, with its entries for any of *platforms* alone; itself where all are.

    The bytes are those of the original: keys are sorted at every level, and unknown ones kept. Raises
    MissingPartError where no entry suits.
    """
    data = _sorted(json_fields.document(document.text, where))
    entries = json_fields.optional(data, "manifests", list, where, [])
    listed = document.value.manifests if isinstance(document.value, Index) else ()
    kept = [entry for entry, value in zip(entries, listed, strict=True) if _suits(value, platforms)]
    if not kept:
        raise MissingPartError(f'no descriptor matching the platform filter found in "{where}"')
    if len(kept) == len(entries):
        return document
    text = to_json({**data, "manifests": kept})
    descriptor = Descriptor(media_type=document.descriptor.media_type, digest=Digest.of(text), size=len(text))
    return Document(descriptor=descriptor, text=text, value=parse_manifest(text, descriptor.media_type))


def _parse(text: str) -> Platform:
    if "/" in text:
        return parse_platform(text)
    if text.lower() in _SYSTEMS:
        return parse_platform(f"{text.lower()}/{host_platform().architecture}")
    if not text:
        raise UsageError("the name of a platform is empty")
    return parse_platform(f"linux/{text}")


def _suits(entry: Descriptor, platforms: Sequence[Platform]) -> bool:
    return entry.platform is not None and _key(entry.platform) in {_key(platform) for platform in platforms}


def _key(platform: Platform) -> tuple[str, str, str]:
    spelt = parse_platform(f"{platform.os or 'linux'}/{platform.architecture or 'unknown'}")
    variant = platform.variant.lower() or spelt.variant or _DEFAULT_VARIANTS.get(spelt.architecture, "")
    return spelt.os, spelt.architecture, variant


def _sorted(value: Any) -> Any:
    match value:
        case dict():
            return {key: _sorted(value[key]) for key in sorted(value, key=lambda key: key.encode())}
        case list():
            return [_sorted(element) for element in value]
        case _:
            return value

"""The config of a container image, for dialects whose images have one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from eci_convert.dialects.blueprint import StoredBlob, WriteOptions
from eci_convert.errors import UsageError
from eci_convert.oci.manifest import to_json
from eci_convert.oci.platform import Platform

_MACHINES = {"qemu", "kvm", "fc", "firecracker", "xen", "kraftcloud"}
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


def image_config(
    options: WriteOptions,
    labels: Mapping[str, str],
    written: tuple[StoredBlob, ...],
    *,
    history: bool = False,
    entrypoint: Sequence[str] = (),
) -> bytes:
    """The config JSON in the order of ECI's (docs/specs/eci.md#3.4), with the diff ids of *written*.

    With *history*, one entry a layer that names the part.
    """
    settings: dict[str, Any] = {"Entrypoint": list(entrypoint)} if entrypoint else {}
    if labels:
        settings["Labels"] = dict(sorted(labels.items()))
    platform = container_platform(options.platform)
    document: dict[str, Any] = {"created": rfc3339(options.created), "author": options.author, **platform.json()}
    document["config"] = settings
    document["rootfs"] = {"type": "layers", "diff_ids": [str(layer.diff_id) for layer in written]}
    if history:
        document["history"] = [
            {"created": rfc3339(options.created), "created_by": f"eci-convert: {layer.recipe.part.name}"}
            for layer in written
        ]
    return to_json(document)


def rfc3339(seconds: int) -> str:
    """*seconds* since 1970 as RFC 3339 has it. Raises UsageError outside the years 1 to 9999.

    >>> rfc3339(0)
    '1970-01-01T00:00:00Z'
    """
    try:
        return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%SZ}"
    except (ValueError, OverflowError, OSError) as error:
        raise UsageError(f"{seconds} is no time that a config can tell") from error


def container_platform(platform: Platform) -> Platform:
    """*platform* in Go's words: a unikernel's `qemu/x86_64` is Linux on amd64 to a container engine.

    >>> str(container_platform(Platform(os="qemu", architecture="x86_64")))
    'linux/amd64'
    """
    architecture = _ARCHITECTURES.get(platform.architecture, platform.architecture)
    if platform.os in _MACHINES:
        return Platform(os="linux", architecture=architecture)
    return Platform(
        os=platform.os,
        architecture=architecture,
        variant=platform.variant,
        os_version=platform.os_version,
        os_features=platform.os_features,
    )


def merge_labels(own: Mapping[str, str], *others: Mapping[str, str]) -> dict[str, str]:
    """*own* labels and *others*, the later ones first in rank; none of them may say what *own* says differently.

    Raises UsageError where one would.
    """
    merged: dict[str, str] = {}
    for other in others:
        merged |= other
    for key, value in merged.items():
        if own.get(key, value) != value:
            raise UsageError(f"the label {key!r} is written by eci-convert and cannot be set to {value!r}")
    return merged | dict(own)

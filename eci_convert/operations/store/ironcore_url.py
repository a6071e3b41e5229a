"""The URL of a manifest or layer for ironcore's boot loaders, as in `ironcore-image url`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from eci_convert.errors import MissingPartError, NotFoundError
from eci_convert.oci import media_types
from eci_convert.oci.manifest import Manifest, parse_manifest
from eci_convert.oci.reference import Reference
from eci_convert.transports.registry import manifests
from eci_convert.transports.registry.client import RegistryClient
from eci_convert.transports.settings import Settings

_WORDS: Final[Mapping[str, tuple[str, ...]]] = {
    "kernel": ("kernel", "vmlinuz"),
    "rootfs": ("rootfs",),
    "initramfs": ("initramfs",),
    "squashfs": ("squashfs",),
    "uki": ("uki",),
    "iso": ("iso",),
}
"""What a layer is called, and the last word of its media type in some generation."""


def boot_request(reference: Reference, layer: str, settings: Settings) -> dict[str, Any]:
    """The address of the manifest, or of the layer called *layer* unless that is "", and the headers that it needs.

    A digest in the reference decides. Raises NotFoundError and MissingPartError in the original's words.
    """
    name = str(reference.digest or reference.tag)
    client = RegistryClient(reference, settings)
    try:
        url = client.url(f"manifests/{name}")
        missing = NotFoundError(f"error initializing: erroneous response status: 404 Not Found for url {url.shown}")
        try:
            descriptor, content = manifests.get(client, name)
        except NotFoundError as error:
            raise missing from error
        manifest = parse_manifest(content, descriptor.media_type)
        if not isinstance(manifest, Manifest):  # the original asks for a manifest alone, and is told that there is none
            raise missing
        headers = {} if layer else {"Accept": [media_types.OCI_MANIFEST]}
        if layer:
            url = client.url(f"blobs/{_layer(manifest, layer)}")
        if authorization := client.authorization(url):
            headers["Authorization"] = [authorization]
        return ({"headers": headers} if headers else {}) | {"url": url.shown}
    finally:
        client.close()


def _layer(manifest: Manifest, word: str) -> str:
    for layer in manifest.layers:
        kind = layer.media_type
        if kind.rpartition(".")[2] in _WORDS.get(word, ()) and ("ironcore.image" in kind or "onmetal.image" in kind):
            return str(layer.digest)
    raise MissingPartError(f"no layer with type {word} found")

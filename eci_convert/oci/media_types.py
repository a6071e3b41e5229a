"""Media types of images (image-spec v1.1.1 media-types.md; Docker image manifest v2 schema 2)."""

from __future__ import annotations

OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
OCI_LAYER = "application/vnd.oci.image.layer.v1.tar"
OCI_EMPTY = "application/vnd.oci.empty.v1+json"

DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_CONFIG = "application/vnd.docker.container.image.v1+json"
DOCKER_LAYER = "application/vnd.docker.image.rootfs.diff.tar"
DOCKER_SCHEMA1 = frozenset(
    {
        "application/vnd.docker.distribution.manifest.v1+json",
        "application/vnd.docker.distribution.manifest.v1+prettyjws",
    }
)

MANIFESTS = frozenset({OCI_MANIFEST, DOCKER_MANIFEST})
INDEXES = frozenset({OCI_INDEX, DOCKER_LIST})
DOCUMENTS = MANIFESTS | INDEXES
CONFIGS = frozenset({OCI_CONFIG, DOCKER_CONFIG})

_LAYER_BASES = (
    OCI_LAYER,
    "application/vnd.oci.image.layer.nondistributable.v1.tar",
    DOCKER_LAYER,
    "application/vnd.docker.image.rootfs.foreign.diff.tar",
)
_SUFFIXES = ("", "+gzip", ".gzip", "+zstd", ".zstd")
LAYERS = frozenset(base + suffix for base in _LAYER_BASES for suffix in _SUFFIXES)


def is_tar_layer(media_type: str) -> bool:
    """Whether a blob of *media_type* is a container layer: a tar archive, compressed or not."""
    return media_type in LAYERS


def is_encrypted(media_type: str) -> bool:
    """Whether a blob of *media_type* is encrypted (containers/ocicrypt, spec.md: a suffix)."""
    return media_type.endswith("+encrypted")


def is_raw_layer(media_type: str) -> bool:
    """Whether a blob of *media_type* is an uncompressed tar layer."""
    return media_type in _LAYER_BASES


def raw_type(media_type: str) -> str:
    """The uncompressed variant of the layer type *media_type*.

    >>> raw_type("application/vnd.docker.image.rootfs.diff.tar.gzip")
    'application/vnd.docker.image.rootfs.diff.tar'
    """
    return next((base for base in _LAYER_BASES if media_type.removeprefix(base) in _SUFFIXES), media_type)


def compressed_type(media_type: str, compression: str) -> str:
    """The variant of the uncompressed layer type *media_type* with *compression*, "gzip" or "zstd". Docker's have a
    dot."""
    return f"{media_type}{'.' if 'docker' in media_type else '+'}{compression}"

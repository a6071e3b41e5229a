"""Blueprint: the image that a dialect writes, as recipes for blobs and a function that makes the config. No I/O."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from eci_convert.errors import UsageError
from eci_convert.model import DiskType, Part
from eci_convert.oci import media_types
from eci_convert.oci.descriptor import Descriptor
from eci_convert.oci.digest import Digest
from eci_convert.oci.image import ImageMetadata
from eci_convert.oci.index import Index
from eci_convert.oci.platform import Platform


@dataclass(frozen=True, slots=True, kw_only=True)
class TarEntrySpec:
    """The tar entry that a part becomes inside a layer. *path* has no leading slash; *mtime* is in seconds.

    With *directory_mode*, the directories that lead to it have entries too, with that mode and the file's owner.
    """

    path: str
    mode: int = 0o644
    uid: int = 0
    gid: int = 0
    mtime: int = 0
    directory_mode: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """One blob to write: *part*'s bytes as they are, or as the one entry of a tar archive.

    *media_type* is the blob's; for a tar layer it is without the suffix of a compression, which the packer chooses
    (*compressible* False: the layer is stored as it is, as unikraft wants). *compression* is for blobs that are not
    tar: "" or "zstd" (KubeVirt's disks). *sized* names annotations whose value is to be the file's size in bytes.

    *retyped* is given for a disk of unknown type where the type matters: what the recipe becomes once the bytes have
    told it. Where they do not tell, the recipe stays as it is, or is refused if its *media_type* is "".
    """

    part: Part
    media_type: str
    entry: TarEntrySpec | None = None
    may_compress: bool = True
    compression: str = ""
    annotations: Mapping[str, str] = field(default_factory=dict, hash=False)
    size_annotations: tuple[str, ...] = ()
    with_disk_type: Callable[[DiskType], Recipe] | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredBlob:
    """What became of a recipe. *diff_id* is the digest of the tar archive before compression, or of the blob itself
    where there is no archive."""

    recipe: Recipe
    descriptor: Descriptor
    diff_id: Digest


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteOptions:
    """What a writer takes into account beside the artifact.

    *created* is in seconds since 1970 and is every time that is written. *name* is the reference that the image will
    have, for dialects that write it down. *extra_dialects* names dialects that the same image is to serve as well.
    *strict*: as the original tool of the dialect writes it, and nothing beside. *system* is what a unikernel runs on
    (qemu, fc, xen), where *platform* does not say. *original* is the image of the same dialect that is written again,
    and *original_index* the index that it was in: what the dialect has beside the parts is kept from them.
    """

    platform: Platform
    author: str = "lf-edge/edge-containers"
    created: int = 0
    labels: Mapping[str, str] = field(default_factory=dict, hash=False)
    annotations: Mapping[str, str] = field(default_factory=dict, hash=False)
    name: str = ""
    extra_dialects: tuple[str, ...] = ()
    strict: bool = False
    system: str = ""
    original: ImageMetadata | None = None
    original_index: Index | None = None

    def check_no_extra_dialects(self, format: str) -> None:
        """Raises UsageError where an image of *format*, which serves no other dialect, is to serve one."""
        if self.extra_dialects:
            raise UsageError(f"an image of the format {format!r} cannot serve {self.extra_dialects[0]!r} as well")


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexSpec:
    """The index that an image is put into. *entry* are the annotations of the image's entry in it. *names_variants*:
    each image in it has a name of its own, the index's with `-ARCHITECTURE` behind it."""

    annotations: Mapping[str, str] = field(default_factory=dict, hash=False)
    artifact_type: str = ""
    entry: Mapping[str, str] = field(default_factory=dict, hash=False)
    names_variants: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Blueprint:
    """An image to be: its blobs in the order of the layers, and its documents as functions of what was written.

    *config* is a function of what was written, or itself the recipe of a blob (a config of the user's).
    *manifest_type* None: the manifest does not say its own type. *container* tells whether a place that holds
    container images alone (Docker, containers-storage) can hold it. *platform* is that of the image's entry in an
    index; *index*: the image is always put into one (ironcore, unikraft, KubeVirt).
    """

    recipes: tuple[Recipe, ...]
    config: Callable[[tuple[StoredBlob, ...]], bytes] | Recipe
    platform: Platform
    config_type: str = media_types.OCI_CONFIG
    config_annotations: Mapping[str, str] = field(default_factory=dict, hash=False)
    config_platform: Platform | None = None
    manifest_type: str | None = media_types.OCI_MANIFEST
    artifact_type: str = ""
    annotations: Mapping[str, str] = field(default_factory=dict, hash=False)
    is_container_image: bool = True
    index_spec: IndexSpec | None = None

"""Machines for tests of dialects: by hand, and as hypothesis makes them up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from hypothesis import strategies as st

from eci_convert.compression.codec import Codec, Compression, decompressed
from eci_convert.dialects import writer
from eci_convert.dialects.blueprint import WriteOptions
from eci_convert.dialects.part_names import canonical_name
from eci_convert.model import Artifact, Blob, DiskType, Locator, Member, Memory, Part, Role, RootfsFile
from eci_convert.oci.descriptor import Descriptor
from eci_convert.oci.image import ImageConfig, ImageMetadata
from eci_convert.oci.manifest import Manifest
from eci_convert.oci.platform import Platform
from eci_convert.pack.image import pack
from eci_convert.pack.result import PushResult
from eci_convert.reading.images import load_image
from eci_convert.tar import EntryType, entries
from eci_convert.transports.memory import MemorySink, MemorySource, MemoryStore

AMD64 = Platform(os="linux", architecture="amd64")
TERMS = WriteOptions(platform=AMD64, created=1600000000)
PLAIN = Codec.parse("none")


def part(
    role: Role, base: str, file: bytes | Locator, disk_type: DiskType | None = None, index: int | None = None
) -> Part:
    """A part whose file was called *base*, and holds *file*."""
    locator = Memory(content=file) if isinstance(file, bytes) else file
    return Part(role=role, locator=locator, name=canonical_name(role, base, index), disk_type=disk_type, index=index)


def a_whole_machine(command_line: str | None = None) -> Artifact:
    """A machine with every kind of part."""
    return Artifact(
        parts=(
            part(Role.KERNEL, "kernel", b"kernel"),
            part(Role.INITRD, "initrd", b"initrd"),
            part(Role.ROOT_DISK, "root.raw", b"root.raw", DiskType.RAW),
            part(Role.EXTRA_DISK, "disk1.qcow2", b"disk1.qcow2", DiskType.QCOW2, 0),
            part(Role.EXTRA_DISK, "d2.iso", b"d2", DiskType.ISO, 1),
            part(Role.CONFIG, "config.json", b'{"abc":"def"}\n'),
            part(Role.OTHER, "notes.txt", b"other"),
            part(Role.OTHER, "more.txt", b"more"),
        ),
        command_line=command_line,
    )


def written(
    artifact: Artifact,
    format: str,
    terms: WriteOptions = TERMS,
    *,
    codec: Codec = PLAIN,
    store: MemoryStore | None = None,
) -> tuple[MemorySource, PushResult]:
    """*artifact* as an image of *format* in memory."""
    store = store or MemoryStore()
    packed = pack(writer(format)(artifact, terms), MemorySink(store), codec=codec)
    return MemorySource(store), packed


def image(source: MemorySource) -> ImageMetadata:
    """The documents of the only image of *source*."""
    return load_image(source)


def an_image_of(
    layers: Sequence[Descriptor] = (),
    *,
    config: Descriptor | None = None,
    labels: Mapping[str, str] | None = None,
    annotations: Mapping[str, str] | None = None,
    entry: Mapping[str, str] | None = None,
    settings: Mapping[str, object] | None = None,
    fields: Mapping[str, object] | None = None,
    artifact_type: str = "",
) -> ImageMetadata:
    """The documents of an image that has no bytes: a dialect sees no others."""
    config = config or Descriptor.of(b"{}", "application/vnd.oci.image.config.v1+json")
    return ImageMetadata(
        descriptor=Descriptor.of(b"manifest", "application/vnd.oci.image.manifest.v1+json", entry or {}),
        manifest=Manifest(
            config=config, layers=tuple(layers), annotations=annotations or {}, artifact_type=artifact_type
        ),
        config=ImageConfig(labels=labels or {}, fields={"config": settings or {}, **(fields or {})}),
    )


def content_of(source: MemorySource, part: Part) -> bytes:
    """The bytes of *part* of an image in memory, found in the plainest way there is."""
    match part.locator:
        case Blob(descriptor=blob, compression=compression):
            return b"".join(decompressed((source.blobs[blob.digest],), Compression(compression or "none")))
        case Member(descriptor=layer, path=path):
            return _files(source, layer)[path]
        case RootfsFile(path=path):
            found: dict[str, bytes] = {}
            for layer in image(source).manifest.layers:
                found |= _files(source, layer)
            if path.endswith("/"):
                [name] = [name for name in found if name.startswith(path.lstrip("/"))]
                return found[name]
            return found[path.lstrip("/")]
        case Memory(content=known):
            return known
        case other:
            raise AssertionError(other)


def _files(source: MemorySource, layer: Descriptor) -> dict[str, bytes]:
    archive = decompressed((source.blobs[layer.digest],), None)
    return {entry.name: b"".join(entry.chunks) for entry in entries(archive) if entry.type is EntryType.FILE}


def contents(source: MemorySource, artifact: Artifact) -> dict[tuple[Role, int | None, str], bytes]:
    """The bytes of each part, by role, index, and (of other parts) name."""
    return {
        (part.role, part.index, part.name if part.role is Role.OTHER else ""): content_of(source, part)
        for part in artifact.parts
    }


def saying(artifact: Artifact) -> list[tuple[object, ...]]:
    """What an artifact says beside where its parts are."""
    return [(part.role, part.index, part.name, part.disk_type) for part in artifact.parts]


_NAMES = st.text(
    st.characters(exclude_categories=("Cs", "Cc"), exclude_characters="/"), min_size=1, max_size=12
).filter(lambda name: name not in (".", ".."))
_FILES = st.binary(max_size=700)
_TYPES = st.sampled_from(list(DiskType))


@st.composite
def machines(draw: st.DrawFn, *, types: st.SearchStrategy[DiskType | None] = _TYPES) -> Artifact:
    """Any machine: any parts with any names, at least one."""
    found = [part(role, "", draw(_FILES)) for role in (Role.KERNEL, Role.INITRD, Role.CONFIG) if draw(st.booleans())]
    if draw(st.booleans()):
        found.append(part(Role.ROOT_DISK, draw(_NAMES), draw(_FILES), draw(types)))
    found += [
        part(Role.EXTRA_DISK, draw(_NAMES), draw(_FILES), draw(types), index)
        for index in sorted(draw(st.sets(st.integers(0, 200), max_size=3)))
    ]
    taken = {each.name for each in found}
    if any(each.role is not Role.CONFIG for each in found):
        names = draw(st.sets(_NAMES.filter(lambda name: name not in taken), max_size=2))
        found += [part(Role.OTHER, name, draw(_FILES)) for name in sorted(names)]
    if not found:
        found.append(part(Role.KERNEL, "", draw(_FILES)))
    return Artifact(parts=tuple(found), command_line=draw(st.none() | st.text(max_size=20).filter(bool)))


def only(machine: Artifact, *kept: object) -> Artifact:
    """*machine* without the parts whose (role, index) or role is not *kept*."""
    parts = tuple(each for each in machine.parts if each.role in kept or (each.role, each.index) in kept)
    return Artifact(parts=parts, command_line=machine.command_line)

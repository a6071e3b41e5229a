"""Is an image, or a directory of parts, what it claims to be?"""

from __future__ import annotations

import struct
import tarfile
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from eci_convert.errors import (
    CannotHoldError,
    DigestMismatchError,
    DiskTypeError,
    EciError,
    FormatError,
    IntegrityError,
    MissingPartError,
    NotFoundError,
    SizeMismatchError,
    TransportError,
)
from eci_convert.oci import media_types
from eci_convert.oci.descriptor import Descriptor
from eci_convert.oci.digest import Digest
from eci_convert.oci.manifest import Manifest, parse_manifest, to_json
from eci_convert.operations.extract import extract_files
from eci_convert.operations.output_files import OutputTarget
from eci_convert.operations.verify import Report, repair, verify_image
from eci_convert.reading.images import load_image
from eci_convert.transports import open_source
from eci_convert.transports.base import SinkCapabilities
from eci_convert.transports.memory import MemorySink, MemorySource, MemoryStore
from eci_convert.transports.settings import Settings
from tests.support.images import (
    KERNEL_TYPE,
    LABEL,
    MEDIA_TYPE,
    RAW_TYPE,
    ImageBuilder,
    a_container,
    a_machine,
    an_image,
    an_index,
    parts,
)

QCOW2_TYPE = RAW_TYPE.replace("raw", "qcow2")
LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
FIXTURES = Path(__file__).parents[2] / "fixtures"


def findings(report: Report) -> list[tuple[str, type[EciError]]]:
    return [(finding.subject, type(finding.error)) for finding in report.problems]


def a_legacy_image(*, wrong: bool = False) -> ImageBuilder:
    """As `eci --format legacy` makes it: *wrong* diff ids are the blobs' digests, and some of them another's."""
    image = an_image()
    for role, name, data, media_type in (
        ("kernel", "kernel", b"kernel", KERNEL_TYPE),
        ("disk-root", "disk-root-a", b"root" * 300, RAW_TYPE),
        ("disk-additional", "disk-0-b", b"QFI\xfb\0\0\0\3" + bytes(600), QCOW2_TYPE),
    ):
        made = image.tar_layer(
            {name: data}, compression="gzip", role=role, title=name, annotations={MEDIA_TYPE: media_type}
        )
        image = made if not wrong else replace(made, diff_ids=(*image.diff_ids, made.layers[0][0].digest))
        key = role.replace("disk-root", "root").replace("disk-additional", "disk-0")
        image = image.label(LABEL + key, "/" + name)
    return image


@pytest.mark.parametrize(
    "image", [a_machine(), a_container(), a_container("zstd"), a_container("none"), a_legacy_image()], ids=str
)
def test_a_good_image_is_good(image: ImageBuilder) -> None:
    report = verify_image(image.build())

    assert report.ok, report.problems
    assert not report.notes
    report.raise_worst()


def test_every_layer_has_its_right_diff_id_told() -> None:
    source = a_container().build()
    image = load_image(source)

    assert verify_image(source).diff_ids == dict(
        zip([layer.digest for layer in image.manifest.layers], image.config.diff_ids, strict=True)
    )


@pytest.mark.parametrize("number", range(3))
@pytest.mark.parametrize("image", [a_machine(), a_legacy_image()], ids=["artifacts", "legacy"])
def test_every_blob_is_held_against_its_digest(image: ImageBuilder, number: int) -> None:
    source = image.build()
    digest = load_image(source).manifest.layers[number].digest
    source.blobs[digest] = source.blobs[digest][:-1] + bytes([source.blobs[digest][-1] ^ 1])

    report = verify_image(source)

    assert (f"layer {digest.short}", DigestMismatchError) in findings(report)
    with pytest.raises(DigestMismatchError):
        report.raise_worst()


def test_a_blob_that_is_missing_or_cut_is_found_and_the_rest_is_looked_at_all_the_same() -> None:
    source = a_machine().build()
    first, second, _ = load_image(source).manifest.layers
    source.blobs[second.digest] = source.blobs[second.digest][:-1]
    del source.blobs[first.digest]

    assert set(findings(verify_image(source))) == {
        (f"layer {first.digest.short}", NotFoundError),
        (f"layer {second.digest.short}", SizeMismatchError),
    }


def test_every_layer_is_held_against_its_diff_id() -> None:
    report = verify_image(a_legacy_image(wrong=True).build())

    assert [kind for _, kind in findings(report)] == [DigestMismatchError] * 3
    with pytest.raises(IntegrityError, match="uncompressed: digest mismatch"):
        report.raise_worst()


def test_a_diff_id_more_or_less_is_wrong() -> None:
    image = a_container().config_field("rootfs", {"type": "layers", "diff_ids": [str(Digest.of(b""))]})

    assert ("the config", IntegrityError) in findings(verify_image(image.build()))


def test_diff_ids_of_what_is_no_layer_are_odd_and_no_more() -> None:
    report = verify_image(
        a_machine().config_field("rootfs", {"type": "layers", "diff_ids": [str(Digest.of(b""))] * 3}).build()
    )

    assert report.ok
    assert "diff ids" in report.notes[0]


def test_every_label_leads_to_a_file() -> None:
    report = verify_image(a_container().label(LABEL + "disk-1", "/boot").label(LABEL + "disk-2", "/no").build())

    assert findings(report) == [(f"label {LABEL}disk-1", MissingPartError), (f"label {LABEL}disk-2", MissingPartError)]
    with pytest.raises(MissingPartError):
        report.raise_worst()


def test_the_labels_of_a_legacy_image_are_looked_up_too() -> None:
    report = verify_image(a_legacy_image().label(LABEL + "initrd", "/initrd").build())

    assert findings(report) == [(f"label {LABEL}initrd", MissingPartError)]


def test_every_declared_type_is_held_against_the_bytes() -> None:
    bytes_of_qcow2 = b"QFI\xfb\0\0\0\3" + bytes(600)
    blob = an_image().layer(RAW_TYPE, bytes_of_qcow2, role="disk-root", title="disk-root-d")
    member = an_image().tar_layer(
        {"disk-root-d": bytes_of_qcow2}, role="disk-root", title="disk-root-d", annotations={MEDIA_TYPE: RAW_TYPE}
    )

    for image in (blob, member):
        assert findings(verify_image(image.build())) == [("disk-root-d", DiskTypeError)]


def test_a_disk_that_refers_to_a_file_beside_it_is_refused() -> None:
    header = struct.pack(">4sIQIIQ", b"QFI\xfb", 2, 512, 11, 16, 1 << 20).ljust(512, b"\0")
    image = an_image().layer(QCOW2_TYPE, header + b"/etc/shadow", role="disk-root", title="disk-root-d")

    report = verify_image(image.build())

    assert findings(report) == [("disk-root-d", FormatError)]
    assert "backing file '/etc/shadow'" in str(report.problems[0].error)


def test_a_layer_that_is_malformed_is_found() -> None:
    image = a_container().tar_layer(b"no archive" * 100)

    report = verify_image(image.build())

    with pytest.raises(FormatError, match="tar header: checksum"):
        report.raise_worst()


def test_a_layer_that_is_a_file_where_that_is_allowed_is_fine() -> None:
    image = an_image().layer(LAYER, b"abc\n", role="kernel", title="kernel", annotations={MEDIA_TYPE: KERNEL_TYPE})

    report = verify_image(image.build())

    assert report.ok, report.problems


def test_an_image_that_is_no_machine_has_its_blobs_checked() -> None:
    source = an_image().tar_layer({"etc/os-release": b"x"}).build()
    report = verify_image(source)
    assert report.ok
    assert "no dialect" in report.notes[0]

    digest = load_image(source).manifest.layers[0].digest
    source.blobs[digest] += b"x"
    assert findings(verify_image(source)) == [(f"layer {digest.short}", SizeMismatchError)]


def test_all_images_of_an_index_are_checked_or_the_one_that_is_named() -> None:
    from eci_convert.oci.platform import parse_platform

    good, bad = a_machine(), a_legacy_image(wrong=True).platform("linux/arm64")
    source = an_index(good, bad).build()

    assert not verify_image(source).ok
    assert verify_image(source).images == 2
    assert verify_image(source, platform=parse_platform("linux/amd64")).ok


@pytest.mark.parametrize("image", [a_machine(), a_container(), a_legacy_image()], ids=["artifacts", "labels", "legacy"])
def test_files_in_a_directory_are_held_against_the_parts(tmp_path: Path, image: ImageBuilder) -> None:
    source = image.build()
    names = [part.name for part in parts(source)]
    extract_files(
        source, load_image(source), [OutputTarget(part=part, path=tmp_path / part.name) for part in parts(source)]
    )
    (tmp_path / "mine").write_bytes(b"not a part")
    assert verify_image(source, directory=tmp_path).ok

    data = (tmp_path / names[0]).read_bytes()
    (tmp_path / names[0]).write_bytes(data[:-1] + b"?")
    (tmp_path / names[1]).write_bytes(b"longer" * 1000)
    assert findings(verify_image(source, directory=tmp_path)) == [
        (str(tmp_path / names[0]), DigestMismatchError),
        (str(tmp_path / names[1]), SizeMismatchError),
    ]

    (tmp_path / names[0]).unlink()
    assert (str(tmp_path / names[0]), NotFoundError) in findings(verify_image(source, directory=tmp_path))


@pytest.mark.parametrize("version", ['"schemaVersion":0,', ""])
def test_a_schema_version_that_registries_refuse_is_wrong(version: str) -> None:
    image = a_machine()
    text = to_json(image.manifest()).replace(b'"schemaVersion":2,', version.encode())
    index = to_json(an_index(image).index()).replace(b'"schemaVersion":2,', version.encode())
    index = index.replace(str(image.descriptor().digest).encode(), str(Digest.of(text)).encode())
    index = index.replace(f'"size":{image.descriptor().size}'.encode(), f'"size":{len(text)}'.encode())
    store = MemoryStore({**image.contents(), Digest.of(text): text, Digest.of(index): index})
    store.names["one"] = Descriptor.of(text, media_types.OCI_MANIFEST)
    store.names["all"] = Descriptor.of(index, media_types.OCI_INDEX)

    one, everything = verify_image(MemorySource(store, "one")), verify_image(MemorySource(store, "all"))

    assert findings(one) == [(f"manifest {Digest.of(text).short}", FormatError)]
    assert findings(everything) == [(f"index {Digest.of(index).short}", FormatError), *findings(one)]


def test_the_gravest_is_what_it_ends_with() -> None:
    source = a_container().label(LABEL + "disk-1", "/no").tar_layer(b"no archive" * 100).build()
    digest = load_image(source).manifest.layers[0].digest
    source.blobs[digest] += b"x"

    with pytest.raises(IntegrityError, match="expected 144 bytes"):
        verify_image(source).raise_worst()


def test_a_place_that_cannot_be_reached_is_no_finding() -> None:
    class Gone(MemorySource):
        @contextmanager
        def fetch(self, blob: Descriptor, skip: int = 0) -> Iterator[Iterable[bytes]]:
            raise TransportError("gone")
            yield ()

    with pytest.raises(TransportError, match="gone"):
        verify_image(Gone(a_machine().build().store))


def test_an_image_with_wrong_diff_ids_is_written_again_with_right_ones() -> None:
    source, store = a_legacy_image(wrong=True).label("mine", "kept").build(), MemoryStore()
    image = load_image(source)

    written = repair(source, image, MemorySink(store), verify_image(source).diff_ids)

    again = MemorySource(store)
    report, repaired = verify_image(again), load_image(again)
    assert report.ok, report.problems
    assert repaired.manifest.layers == image.manifest.layers
    assert repaired.config.labels == image.config.labels
    assert repaired.descriptor.digest == written.descriptor.digest
    assert b'"schemaVersion":2' in store.blobs[written.descriptor.digest]
    assert written.bytes_reused == 0


def test_what_the_destination_has_is_not_sent_again() -> None:
    source, store = a_legacy_image(wrong=True).build(), MemoryStore()
    for layer in load_image(source).manifest.layers:
        store.blobs[layer.digest] = source.blobs[layer.digest]

    written = repair(source, load_image(source), MemorySink(store), verify_image(source).diff_ids)

    assert written.bytes_reused == sum(layer.size for layer in load_image(source).manifest.layers)


def test_a_repair_that_cannot_be_stored_or_makes_no_sense_is_refused() -> None:
    source = a_machine().build()
    with pytest.raises(CannotHoldError, match="holds container images alone"):
        repair(
            source, load_image(source), MemorySink(MemoryStore(), capabilities=SinkCapabilities(artifacts=False)), {}
        )

    odd = a_machine().config(b"{}", "application/vnd.example").build()
    with pytest.raises(FormatError, match=r"config\.mediaType"):
        repair(odd, load_image(odd), MemorySink(MemoryStore()), {})


@pytest.mark.parametrize(("name", "wrong"), [("eci-artifacts", 1), ("eci-legacy", 6)])
def test_images_of_the_original_eci(tmp_path: Path, name: str, wrong: int) -> None:
    with tarfile.open(FIXTURES / f"{name}.tar.gz") as archive:
        archive.extraction_filter = getattr(tarfile, "data_filter", None)  # Debian 12's Python 3.11.2 has none
        archive.extractall(tmp_path)  # noqa: S202 - an archive of our own
    source, store = open_source(f"oci:{tmp_path}/{name}", Settings()), MemoryStore()

    report = verify_image(source)
    assert len(report.problems) == wrong, report.problems
    assert "manifest.schemaVersion: 0 is not 2" in str(report.problems[0].error)
    repair(source, load_image(source), MemorySink(store), report.diff_ids)

    assert verify_image(MemorySource(store)).ok
    manifest = parse_manifest(store.blobs[store.names["image"].digest], "")
    assert isinstance(manifest, Manifest)


def test_no_thread_outlives_a_layer_that_is_malformed() -> None:
    before = set(threading.enumerate())

    report = verify_image(an_image().layer(media_types.OCI_LAYER, b"no tar " * 500_000).build())

    assert not report.ok
    assert not set(threading.enumerate()) - before

"""An image becomes files: all of them as promised, or none."""

from __future__ import annotations

import io
import os
import resource
import signal
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random

import pytest

from eci_convert.errors import (
    EciError,
    FormatError,
    IntegrityError,
    LimitExceededError,
    LocalError,
    MissingPartError,
    UsageError,
)
from eci_convert.model import Blob, DiskType, LocalFile, Locator, Member, Memory, Part, Role, RootfsFile
from eci_convert.oci import media_types
from eci_convert.oci.descriptor import Descriptor
from eci_convert.oci.digest import Digest
from eci_convert.operations.extract import ExtractedPart, extract_files
from eci_convert.operations.output_files import OutputTarget
from eci_convert.options import TransferOptions
from eci_convert.reading.images import load_image
from eci_convert.transports import open_source
from eci_convert.transports.memory import MemorySource
from eci_convert.transports.settings import Settings
from tests.support.images import (
    KERNEL_TYPE,
    RAW_TYPE,
    a_container,
    a_machine,
    a_tar,
    an_image,
    files_in,
    parts,
    wrapped,
)
from tests.support.memory_stores import Watched
from tests.support.reporters import Listening

FIXTURES = Path(__file__).parents[1] / "fixtures"
NOISE = Random(1).randbytes(3 << 20)


def a_part(locator: Locator, role: Role = Role.OTHER, name: str = "part", disk_type: DiskType | None = None) -> Part:
    return Part(role=role, locator=locator, name=name, disk_type=disk_type)


def extract_all(source: MemorySource, targets: list[OutputTarget], **words: object) -> tuple[ExtractedPart, ...]:
    """Extracts *targets*; *words* are of `extract_files` and of `TransferOptions`."""
    transfer = {name: words.pop(name) for name in ("reporter", "max_size") if name in words}
    options = TransferOptions(**transfer)  # type: ignore[arg-type]
    return extract_files(source, load_image(source), targets, options=options, **words)  # type: ignore[arg-type]


def everything(source: MemorySource, directory: Path, **options: object) -> dict[str, ExtractedPart]:
    """Extracts all parts into *directory*; what came of them, by name."""
    targets = [OutputTarget(part=part, path=directory / part.name) for part in parts(source)]
    return {file.part.name: file for file in extract_all(source, targets, **options)}


def one(
    source: MemorySource, locator: Locator, path: Path, role: Role = Role.OTHER, **options: object
) -> ExtractedPart:
    part = a_part(locator, role)
    [file] = extract_all(source, [OutputTarget(part=part, path=path)], **options)
    return file


def layer(source: MemorySource, number: int = 0) -> Descriptor:
    return load_image(source).manifest.layers[number]


def test_a_blob_is_the_file(tmp_path: Path) -> None:
    source = a_machine().build()

    files = everything(source, tmp_path, digests=True)

    assert files_in(tmp_path) == {"kernel": b"kernel", "initrd": b"initrd", "disk-root-root.raw": b"root" * 300}
    assert files["kernel"].digest == Digest.of(b"kernel") == files["kernel"].blob
    assert files["kernel"].size == 6
    assert files["kernel"].image_path == ""


@pytest.mark.parametrize("compression", ["none", "gzip", "zstd"])
def test_files_come_out_of_a_filesystem(tmp_path: Path, compression: str) -> None:
    source = a_container(compression).build()

    files = everything(source, tmp_path, digests=True)

    assert files_in(tmp_path) == {"kernel": b"kernel", "initrd": b"initrd", "disk-root-root.raw": b"root" * 300}
    assert files["kernel"].digest == Digest.of(b"kernel")
    assert files["kernel"].blob == layer(source).digest
    assert files["kernel"].image_path == "/boot/kernel"


def test_digests_are_told_only_where_they_are_asked_for_or_known(tmp_path: Path) -> None:
    assert everything(a_container().build(), tmp_path)["kernel"].digest is None


def test_a_compressed_blob_is_the_file_that_it_holds(tmp_path: Path) -> None:
    for compression in ("gzip", "zstd"):
        source = an_image().layer(f"application/vnd.x+{compression}", wrapped(NOISE, compression)).build()
        file = one(source, Blob(descriptor=layer(source), compression=compression), tmp_path / "disk", digests=True)
        assert (tmp_path / "disk").read_bytes() == NOISE
        assert file.digest == Digest.of(NOISE)


def test_a_blob_with_a_sha512_digest_is_verified_and_its_sha256_told(tmp_path: Path) -> None:
    source = a_machine().build()
    blob = Descriptor(media_type=KERNEL_TYPE, digest=Digest.of(b"kernel", "sha512"), size=6)
    source.blobs[blob.digest] = b"kernel"
    assert one(source, Blob(descriptor=blob), tmp_path / "k", digests=True).digest == Digest.of(b"kernel")

    source.blobs[blob.digest] = b"lenrek"
    with pytest.raises(IntegrityError, match=r"digest mismatch: .* got sha512:"):
        one(source, Blob(descriptor=blob), tmp_path / "k")


def test_bytes_in_memory_are_a_file_and_files_of_this_computer_are_in_no_image(tmp_path: Path) -> None:
    source = a_machine().build()
    one(source, Memory(content=b"{}"), tmp_path / "config.json")
    with pytest.raises(UsageError, match="no image"):
        one(source, LocalFile(path=tmp_path / "config.json"), tmp_path / "other")

    assert files_in(tmp_path) == {"config.json": b"{}"}


def test_every_blob_is_read_once_whoever_wants_it(tmp_path: Path) -> None:
    source = Watched(an_image().tar_layer({"a": b"1", "b": b"2"}).layer(KERNEL_TYPE, b"kernel").build())
    archive, blob = layer(source, 0), layer(source, 1)
    source.fetched.clear()
    locators: list[Locator] = [
        Blob(descriptor=blob),
        Blob(descriptor=blob),
        Member(descriptor=archive, path="a"),
        Member(descriptor=archive, path="b"),
        Member(descriptor=archive, path="./a"),
    ]
    targets = [OutputTarget(part=a_part(place), path=tmp_path / f"{number}") for number, place in enumerate(locators)]

    extract_files(source, load_image(source), targets)

    assert files_in(tmp_path) == {"0": b"kernel", "1": b"kernel", "2": b"1", "3": b"2", "4": b"1"}
    assert source.layers_read() == [1, 0]


def test_one_file_goes_to_paths_and_open_files_together(tmp_path: Path) -> None:
    source = an_image().tar_layer({"disk": NOISE}).build()
    stream, other = io.BytesIO(), io.BytesIO()
    part = a_part(RootfsFile(path="disk"))
    targets = [
        OutputTarget(part=part, file=stream),
        OutputTarget(part=part, path=tmp_path / "a"),
        OutputTarget(part=part, file=other),
        OutputTarget(part=part, path=tmp_path / "b"),
    ]

    files = extract_files(source, load_image(source), targets, digests=True)

    assert stream.getvalue() == other.getvalue() == NOISE
    assert files_in(tmp_path) == {"a": NOISE, "b": NOISE}
    assert {file.digest for file in files} == {Digest.of(NOISE)}


def test_an_open_file_is_written_where_it_stands(tmp_path: Path) -> None:
    source = an_image().tar_layer({"disk": bytes(1 << 20) + b"x"}).build()
    with (tmp_path / "out").open("w+b") as file:
        file.write(b"head")
        extract_files(source, load_image(source), [OutputTarget(part=a_part(RootfsFile(path="disk")), file=file)])

    assert (tmp_path / "out").read_bytes() == b"head" + bytes(1 << 20) + b"x"


def test_holes_come_back_and_can_be_refused(tmp_path: Path) -> None:
    disk = bytes(8 << 20) + NOISE + bytes(5 << 20)
    source = an_image().tar_layer({"disk": disk}, compression="gzip").layer(RAW_TYPE, disk).build()
    locators: tuple[Locator, ...] = (RootfsFile(path="disk"), Blob(descriptor=layer(source, 1)))
    for number, place in enumerate(locators):
        one(source, place, tmp_path / f"holes{number}", Role.ROOT_DISK)
        one(source, place, tmp_path / f"dense{number}", Role.ROOT_DISK, sparse=False)

        assert (tmp_path / f"holes{number}").read_bytes() == (tmp_path / f"dense{number}").read_bytes() == disk
        assert (tmp_path / f"holes{number}").stat().st_blocks * 512 < 4 << 20
        assert (tmp_path / f"dense{number}").stat().st_blocks * 512 >= len(disk)


def test_a_file_that_comes_twice_leaves_nothing_of_the_first(tmp_path: Path) -> None:
    archive = a_tar({"disk": b"first" * 100_000})[:-1024] + a_tar({"disk": bytes(4096) + b"second"})
    source = an_image().tar_layer(archive).build()
    for sparse in (True, False):
        one(source, RootfsFile(path="disk"), tmp_path / "disk", sparse=sparse)
        assert (tmp_path / "disk").read_bytes() == bytes(4096) + b"second"

    into_a_pipe = OutputTarget(part=a_part(RootfsFile(path="disk")), file=io.BytesIO())
    with pytest.raises(FormatError, match="twice"):
        extract_files(source, load_image(source), [into_a_pipe])


def test_a_directory_that_is_not_there_is_made(tmp_path: Path) -> None:
    everything(a_machine().build(), tmp_path / "a" / "b")

    assert (tmp_path / "a" / "b" / "kernel").read_bytes() == b"kernel"


def spoilt(source: MemorySource, number: int) -> MemorySource:
    digest = layer(source, number).digest
    source.blobs[digest] = source.blobs[digest][:-1] + bytes([source.blobs[digest][-1] ^ 1])
    return source


@pytest.mark.parametrize("number", range(3))
def test_one_bad_blob_leaves_every_old_file_alone(tmp_path: Path, number: int) -> None:
    before = {"kernel": b"old", "disk-root-root.raw": b"older", "mine": b"mine"}
    for name, data in before.items():
        (tmp_path / name).write_bytes(data)

    with pytest.raises(IntegrityError, match="content: digest mismatch"):
        everything(spoilt(a_machine().build(), number), tmp_path)

    assert files_in(tmp_path) == before


def test_what_fails_leaves_no_directory_behind_either(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()

    with pytest.raises(IntegrityError, match="content: digest mismatch"):
        everything(spoilt(a_machine().build(), 2), tmp_path / "there" / "a" / "b")
    with pytest.raises(MissingPartError):
        one(a_container().build(), RootfsFile(path="nothing"), tmp_path / "c" / "d")

    assert [path.name for path in tmp_path.rglob("*")] == ["there"]


def test_a_part_that_is_missing_is_all_of_them(tmp_path: Path) -> None:
    source = a_container().build()
    targets = [
        OutputTarget(part=a_part(RootfsFile(path=path)), path=tmp_path / path[1:]) for path in ("/root.raw", "/nothing")
    ]

    with pytest.raises(MissingPartError):
        extract_files(source, load_image(source), targets)

    assert files_in(tmp_path) == {}


def test_a_link_at_an_output_is_replaced_and_never_written_through(tmp_path: Path) -> None:
    (tmp_path / "mine").write_bytes(b"mine")
    (tmp_path / "kernel").symlink_to(tmp_path / "mine")

    everything(a_machine().build(), tmp_path)

    assert (tmp_path / "mine").read_bytes() == b"mine"
    assert not (tmp_path / "kernel").is_symlink()
    assert (tmp_path / "kernel").read_bytes() == b"kernel"


def test_a_directory_at_an_output_is_in_the_way(tmp_path: Path) -> None:
    (tmp_path / "disk-root-root.raw").mkdir()

    with pytest.raises(LocalError, match="directory"):
        everything(a_machine().build(), tmp_path)

    assert files_in(tmp_path) == {}


def test_files_have_the_mode_that_the_umask_leaves(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        everything(a_container().build(), tmp_path)
    finally:
        os.umask(before)

    assert {(tmp_path / name).stat().st_mode & 0o7777 for name in ("kernel", "initrd")} == {0o640}


@pytest.mark.parametrize("digests", [True, False])
def test_no_part_is_larger_than_the_limit(tmp_path: Path, digests: bool) -> None:
    zipped = wrapped(bytes(1 << 20), "gzip")
    source = (
        an_image().tar_layer({"disk": bytes(1 << 20)}).layer(RAW_TYPE, bytes(1 << 20)).layer("x+gzip", zipped).build()
    )
    places = (
        RootfsFile(path="disk"),
        Member(descriptor=layer(source), path="disk"),
        Blob(descriptor=layer(source, 1)),
        Blob(descriptor=layer(source, 2), compression="gzip"),
    )

    for place in places:
        assert one(source, place, tmp_path / "disk", digests=digests, max_size=1 << 20).size == 1 << 20
        with pytest.raises(LimitExceededError, match="limit of 1048575 bytes"):
            one(source, place, tmp_path / "disk", digests=digests, max_size=(1 << 20) - 1)


def test_nothing_is_written_of_what_is_known_to_be_too_large() -> None:
    source, stream = an_image().tar_layer({"disk": NOISE}).build(), io.BytesIO()
    target = OutputTarget(part=a_part(RootfsFile(path="disk")), file=stream)

    with pytest.raises(LimitExceededError, match="larger than the limit of 3145727 bytes"):
        extract_files(source, load_image(source), [target], options=TransferOptions(max_size=len(NOISE) - 1))
    assert not stream.getvalue()


def test_a_disk_of_which_nobody_says_the_type_is_what_its_bytes_are(tmp_path: Path) -> None:
    qcow2 = b"QFI\xfb\0\0\0\3" + bytes(600)
    source = an_image().tar_layer({"disk": qcow2, "zeros": bytes(600)}).build()

    assert one(source, RootfsFile(path="disk"), tmp_path / "d", Role.ROOT_DISK).disk_type is DiskType.QCOW2
    assert one(source, RootfsFile(path="zeros"), tmp_path / "d", Role.ROOT_DISK).disk_type is None
    assert one(source, RootfsFile(path="disk"), tmp_path / "d", Role.KERNEL).disk_type is None


def test_a_disk_that_is_not_what_is_said_of_it_is_a_warning(tmp_path: Path) -> None:
    reporter = Listening()
    source = an_image().layer(RAW_TYPE, b"QFI\xfb\0\0\0\3" + bytes(600), role="disk-root", title="disk-root-d").build()

    file = everything(source, tmp_path, reporter=reporter)["disk-root-d"]

    assert file.disk_type is DiskType.RAW
    assert reporter.warnings == ["'disk-root-d' is declared as raw and its bytes are qcow2"]


def test_a_layer_that_is_compressed_whatever_its_type_says_has_right_diff_ids(tmp_path: Path) -> None:
    archive = a_tar({"k": b"kernel"})
    image = an_image().layer(media_types.OCI_LAYER, wrapped(archive, "gzip"), diff_id=Digest.of(archive))
    reporter = Listening()

    one(image.build(), RootfsFile(path="k"), tmp_path / "k", reporter=reporter)

    assert (tmp_path / "k").read_bytes() == b"kernel"
    assert not reporter.warnings


def test_wrong_diff_ids_that_can_be_seen_are_a_warning(tmp_path: Path) -> None:
    wrong = an_image().tar_layer({"a": b"1"}, compression="gzip")
    wrong = wrong.tar_layer({"b": b"2"}, compression="gzip", diff_id=wrong.layers[0][0].digest)
    other = an_image().tar_layer({"a": b"1"}, diff_id=Digest.of(b"else"))
    for image, warned in ((wrong, True), (other, True), (a_container(), False), (a_container("none"), False)):
        reporter = Listening()
        one(image.build(), RootfsFile(path="a" if warned else "root.raw"), tmp_path / "a", reporter=reporter)
        assert bool(reporter.warnings) is warned
        assert all("diff ids" in warning for warning in reporter.warnings)


def test_progress_counts_the_bytes_that_are_received(tmp_path: Path) -> None:
    reporter = Listening()

    everything(a_machine().build(), tmp_path, reporter=reporter)

    assert reporter.done == len(b"kernel" + b"initrd" + b"root" * 300)


@contextmanager
def files_no_larger_than(size: int) -> Iterator[None]:
    """The system refuses to write more than *size* bytes into a file."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


@pytest.mark.parametrize("place", ["blob", "rootfs"])
def test_what_the_system_refuses_is_an_error_of_this_computer_and_leaves_nothing(tmp_path: Path, place: str) -> None:
    source = an_image().tar_layer({"disk": NOISE}, compression="gzip").layer(RAW_TYPE, NOISE).build()
    (tmp_path / "disk").write_bytes(b"old")
    locator = Blob(descriptor=layer(source, 1)) if place == "blob" else RootfsFile(path="disk")

    with files_no_larger_than(2 << 20), pytest.raises(LocalError, match="File too large"):
        one(source, locator, tmp_path / "disk")

    assert files_in(tmp_path) == {"disk": b"old"}


def test_a_full_device_is_an_error_of_this_computer() -> None:
    source = an_image().tar_layer({"disk": NOISE}).build()

    with open("/dev/full", "wb", buffering=0) as full, pytest.raises(LocalError, match="No space left"):
        extract_files(source, load_image(source), [OutputTarget(part=a_part(RootfsFile(path="disk")), file=full)])


def test_what_cannot_fit_is_refused_beforehand_and_what_may_be_holes_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.statvfs(tmp_path)
    full = os.statvfs_result((real.f_bsize, 512, real.f_blocks, 10, 10, *tuple(real)[5:]))
    monkeypatch.setattr(os, "statvfs", lambda path: full)
    source = Watched(an_image().layer(RAW_TYPE, bytes(6000)).build())
    place = Blob(descriptor=layer(source))

    with pytest.raises(LocalError, match="no space left on device: needs 6000 bytes, 5120 are free"):
        one(source, place, tmp_path / "kernel", Role.KERNEL)
    with pytest.raises(LocalError, match="no space left on device"):
        one(source, place, tmp_path / "disk", Role.ROOT_DISK, sparse=False)
    one(source, place, tmp_path / "disk", Role.ROOT_DISK)

    assert files_in(tmp_path) == {"disk": bytes(6000)}


def test_a_size_that_is_only_claimed_reserves_nothing(tmp_path: Path) -> None:
    archive = bytearray(a_tar({"disk": b"x"}))
    archive[124:136] = (0x80).to_bytes(1, "big") + (1 << 62).to_bytes(11, "big")
    archive[148:156] = b" " * 8
    archive[148:156] = b"%06o\0 " % sum(archive[:512])
    source = an_image().tar_layer(bytes(archive)).build()

    with pytest.raises(FormatError, match="unexpected EOF in a member"):
        one(source, RootfsFile(path="disk"), tmp_path / "disk", Role.ROOT_DISK)
    assert files_in(tmp_path) == {}


def test_errors_of_the_source_are_said_to_be_the_sources(tmp_path: Path) -> None:
    source = a_machine().build()
    del source.blobs[layer(source, 1).digest]

    with pytest.raises(EciError) as caught:
        everything(source, tmp_path)
    assert "no blob" in str(caught.value)
    assert files_in(tmp_path) == {}


@pytest.mark.parametrize("name", ["eci-artifacts", "eci-legacy"])
def test_every_part_comes_out_of_an_image_of_the_original_eci_byte_for_byte(tmp_path: Path, name: str) -> None:
    for archive in (name, "inputs"):
        with tarfile.open(FIXTURES / f"{archive}.tar.gz") as file:
            file.extraction_filter = getattr(tarfile, "data_filter", None)  # Debian 12's Python 3.11.2 has none
            file.extractall(tmp_path)  # noqa: S202 - an archive of our own
    source = open_source(f"oci:{tmp_path}/{name}", Settings())
    targets = [OutputTarget(part=part, path=tmp_path / "out" / part.name) for part in parts(source)]

    extract_files(source, load_image(source), targets)

    names = {"disk-root-root.raw": "root.raw", "disk-0-d1.qcow2": "d1.qcow2", "disk-1-d2.iso": "d2.iso"}
    found = {names.get(path, path): data for path, data in files_in(tmp_path / "out").items()}
    assert found == {path: data for path, data in files_in(tmp_path / "in").items() if path != "cfg.json"}
    assert (tmp_path / "out" / "disk-root-root.raw").stat().st_blocks * 512 < 1 << 20

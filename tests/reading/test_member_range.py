"""Where a file lies in a layer, byte for byte; or that it does not lie there as it is."""

from __future__ import annotations

import gzip
import io
import tarfile

import pytest

from eci_convert.errors import AmbiguousRoleError, DigestMismatchError, MissingPartError
from eci_convert.oci.descriptor import Descriptor
from eci_convert.reading.member_range import ByteRange, member_range
from eci_convert.transports.memory import MemorySource, MemoryStore

LAYER = "application/vnd.oci.image.layer.v1.tar"


def archive(*files: tuple[str, bytes], form: int = tarfile.PAX_FORMAT) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=form) as tar:
        for name, content in files:
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return out.getvalue()


def find(content: bytes, path: str, *, or_whole_blob: bool = False) -> ByteRange | None:
    layer = Descriptor.of(content, LAYER)
    source = MemorySource(MemoryStore(blobs={layer.digest: content}))
    return member_range(source, layer, path, or_whole_blob=or_whole_blob)


@pytest.mark.parametrize("form", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT, tarfile.USTAR_FORMAT])
@pytest.mark.parametrize("size", [1, 511, 512, 3_000_000])
def test_the_bytes_there_are_the_files(form: int, size: int) -> None:
    content = archive(("a/first", b"x" * 700), ("./b/kernel", b"k" * size), ("last", b"z"), form=form)
    for path in ("b/kernel", "/b/kernel", "./b//kernel"):
        found = find(content, path)
        assert found is not None
        assert content[found.offset : found.offset + found.size] == b"k" * size


def test_long_names_do_not_move_it() -> None:
    name = "d/" * 120 + "kernel"
    content = archive((name, b"kernel"))
    found = find(content, name)
    assert found is not None
    assert content[found.offset : found.offset + found.size] == b"kernel"


def test_the_only_file_needs_no_name_and_the_last_of_a_name_counts() -> None:
    assert find(archive(("kernel", b"k")), "") == ByteRange(offset=512, size=1)
    assert find(archive(("kernel", b"old"), ("kernel", b"newer")), "kernel") == ByteRange(offset=1536, size=5)
    with pytest.raises(AmbiguousRoleError):
        find(archive(("a", b"1"), ("b", b"2")), "")
    with pytest.raises(MissingPartError):
        find(archive(("a", b"1")), "b")


def test_what_does_not_lie_there_as_it_is_has_no_range() -> None:
    assert find(gzip.compress(archive(("kernel", b"k"))), "kernel") is None
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        link = tarfile.TarInfo("kernel")
        link.type, link.linkname = tarfile.SYMTYPE, "vmlinuz"
        tar.addfile(link)
    assert find(out.getvalue(), "kernel") is None
    sparse = tarfile.TarInfo("kernel")
    sparse.size = 512
    sparse.pax_headers = {"GNU.sparse.map": "0,512", "GNU.sparse.size": "1024", "GNU.sparse.numblocks": "1"}
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
        tar.addfile(sparse, io.BytesIO(b"s" * 512))
    assert find(out.getvalue(), "kernel") is None


def test_a_layer_that_is_no_archive_may_be_the_file() -> None:
    content = b"a kernel, and no archive" * 100
    assert find(content, "", or_whole_blob=True) == ByteRange(offset=0, size=len(content))


def test_a_layer_of_other_bytes_is_refused() -> None:
    layer = Descriptor.of(archive(("kernel", b"k")), LAYER)
    source = MemorySource(MemoryStore(blobs={layer.digest: archive(("kernel", b"K"))}))
    with pytest.raises(DigestMismatchError):
        member_range(source, layer, "kernel")

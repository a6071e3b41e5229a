"""A place that loses what it was sent is sent it again, wherever the bytes come from; but not for ever."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from pathlib import Path

import pytest

from eci_convert.compression.codec import Codec
from eci_convert.dialects import WRITERS
from eci_convert.errors import UploadLostError
from eci_convert.model import DiskType, Role
from eci_convert.oci import media_types
from eci_convert.oci.descriptor import Descriptor
from eci_convert.oci.digest import Digest
from eci_convert.operations.copy import copy
from eci_convert.operations.copy_request import CopyRequest
from eci_convert.pack.image import pack
from eci_convert.reading.local_parts import Disk, artifact_from_parts
from eci_convert.transports.memory import MemorySink, MemorySource, MemoryStore
from tests.support.generate_readme_tables import holds
from tests.support.images import LABEL, ImageBuilder, a_machine, an_image, parts
from tests.support.machines import TERMS

QCOW2 = b"QFI\xfb\0\0\0\3" + bytes(2000)


def a_container() -> ImageBuilder:
    """A container image of two layers, the first of which holds two parts."""
    return (
        an_image()
        .tar_layer({"kernel": b"kernel", "initrd": b"initrd"}, compression="gzip")
        .tar_layer({"root.qcow2": QCOW2})
        .label(LABEL + "kernel", "/kernel")
        .label(LABEL + "initrd", "/initrd")
        .label(LABEL + "root", "/root.qcow2")
    )


class Forgetful(MemorySink):
    """Loses every blob *times* times, when it has seen the beginning of it."""

    def __init__(self, times: int) -> None:
        super().__init__(MemoryStore())
        self._times = times
        self._lost: dict[str, int] = {}

    def put(
        self, media_type: str, chunks: Iterable[bytes], *, digest: Digest | None = None, size: int | None = None
    ) -> Descriptor:
        if media_type in {*media_types.DOCUMENTS, media_types.OCI_CONFIG}:
            return super().put(media_type, chunks, digest=digest, size=size)
        chunks = iter(chunks)
        seen = next(chunks, b"")
        name = f"{digest} {size} {seen[:100]!r}"
        self._lost[name] = self._lost.get(name, 0) + 1
        if self._lost[name] <= self._times:
            raise UploadLostError("the blob has to be sent again")
        return super().put(media_type, itertools.chain((seen,), chunks), digest=digest, size=size)


@pytest.mark.parametrize("form", WRITERS)
def test_parts_that_are_files_are_read_again(tmp_path: Path, form: str) -> None:
    for name in ("kernel", "initrd", "root"):
        (tmp_path / name).write_bytes(name.encode() * 5000)
    made = artifact_from_parts(
        kernel=tmp_path / "kernel" if holds(form, Role.KERNEL) else None,
        initrd=tmp_path / "initrd" if holds(form, Role.INITRD) else None,
        root=Disk(content=tmp_path / "root", type=DiskType.RAW) if holds(form, Role.ROOT_DISK) else None,
    )
    sink, calm = Forgetful(3), MemorySink(MemoryStore())

    for one in (sink, calm):
        pack(WRITERS[form](made, TERMS), one, codec=Codec.parse("gzip"))

    assert sink.store == calm.store


@pytest.mark.parametrize("image", [a_machine(), a_container()], ids=["artifacts", "labels"])
@pytest.mark.parametrize("form", ["keep", "artifacts", "legacy", "ironcore"])
def test_parts_of_another_image_are_read_again(image: ImageBuilder, form: str) -> None:
    sink, calm = Forgetful(1), MemorySink(MemoryStore())

    for one in (sink, calm):
        copy(image.build(), one, CopyRequest(format=form, write=TERMS if form != "keep" else None))

    assert sink.store == calm.store
    if form != "keep":
        assert len(parts(MemorySource(sink.store))) == 3


@pytest.mark.parametrize("form", ["keep", "legacy"])
def test_a_place_that_loses_everything_is_left(form: str) -> None:
    sink = Forgetful(100)
    with pytest.raises(UploadLostError):
        copy(a_machine().build(), sink, CopyRequest(format=form))
    assert not sink.store.names

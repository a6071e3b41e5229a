"""Packages of several targets as KraftKit's own code packed them (golden/kraftkit): all entries of their index but the
newest tell a size of 32."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from eci_convert.compression.codec import Codec
from eci_convert.dialects.blueprint import WriteOptions
from eci_convert.errors import DigestMismatchError, SizeMismatchError
from eci_convert.oci import media_types
from eci_convert.oci.descriptor import Descriptor
from eci_convert.oci.digest import Digest
from eci_convert.oci.index import Index
from eci_convert.oci.platform import parse_platform
from eci_convert.operations.copy import copy
from eci_convert.operations.copy_request import CopyRequest
from eci_convert.operations.inspect import inspect
from eci_convert.operations.verify import fixed_index, verify_image
from eci_convert.options import TransferOptions
from eci_convert.reading.blobs import load_document
from eci_convert.reading.images import load_image, load_manifest, load_root
from eci_convert.transports import open_sink, open_source
from eci_convert.transports.base import Source
from eci_convert.transports.memory import MemorySink, MemorySource, MemoryStore
from eci_convert.transports.settings import Settings
from tests.support.command_line import Run, one_line
from tests.support.fake_containerd import a_containerd
from tests.support.fake_registry.server import a_registry
from tests.support.images import IndexBuilder, an_image, an_index
from tests.support.kraftkit_package import MULTI, stored
from tests.support.reporters import Listening

TARGETS = {"qemu/x86_64": b"kernel", "fc/x86_64": b"kernel", "xen/arm64": b"kernel2"}


@contextmanager
def in_memory(tmp_path: Path) -> Iterator[Source]:
    yield MemorySource(stored(), "package")


@contextmanager
def in_pieces(tmp_path: Path) -> Iterator[Source]:
    """A place that hands out a document in pieces of 100 bytes."""

    class Pieces(MemorySource):
        @contextmanager
        def fetch(self, blob: Descriptor, skip: int = 0) -> Iterator[Iterator[bytes]]:
            text = self.store.blobs[blob.digest]
            yield (text[at : at + 100] for at in range(skip, len(text), 100))

    yield Pieces(stored(), "package")


@contextmanager
def elsewhere(reference: str, settings: Settings) -> Iterator[Source]:
    with open_sink(reference, settings) as sink:
        copy(MemorySource(stored(), "package"), sink, CopyRequest(all_platforms=True))
    with open_source(reference, settings) as source:
        yield source


@contextmanager
def in_a_layout(tmp_path: Path) -> Iterator[Source]:
    with elsewhere(f"oci:{tmp_path}/layout:uk/multi:1", Settings()) as source:
        yield source


@contextmanager
def in_an_archive(tmp_path: Path) -> Iterator[Source]:
    with elsewhere(f"oci-archive:{tmp_path}/archive.tar:uk/multi:1", Settings()) as source:
        yield source


@contextmanager
def in_a_registry(tmp_path: Path) -> Iterator[Source]:
    with a_registry() as registry, elsewhere(f"docker://{registry.host}/uk/multi:1", Settings()) as source:
        yield source


@contextmanager
def in_containerd(tmp_path: Path) -> Iterator[Source]:
    with a_containerd(tmp_path) as there, elsewhere("containerd:r.example/uk/multi:1", there.settings) as source:
        yield source


@pytest.mark.parametrize(
    "place",
    [in_memory, in_pieces, in_a_layout, in_an_archive, in_a_registry, in_containerd],
    ids=lambda it: it.__name__,
)
def test_every_target_is_read_wherever_it_is(
    place: Callable[[Path], AbstractContextManager[Source]], tmp_path: Path
) -> None:
    with place(tmp_path) as source:
        assert source.resolve().digest == Digest.parse(MULTI["index digest"])
        for platform, kernel in TARGETS.items():
            found = inspect(source, parse_platform(platform))
            assert found.dialect == "unikraft"
            assert str(found.image.platform) == platform
            layer = load_document(source, found.image.manifest.layers[0])
            with tarfile.open(fileobj=io.BytesIO(layer)) as archive:
                [member] = archive
                file = archive.extractfile(member)
                assert file
                assert file.read() == kernel


def test_the_digest_still_decides() -> None:
    store = stored()
    source = MemorySource(store, "package")
    entry = load_root(source)[1].manifests[0]  # type: ignore[union-attr]
    assert entry.size == 32
    spoilt = bytearray(store.blobs[entry.digest])
    spoilt[-3] ^= 1
    store.blobs[entry.digest] = bytes(spoilt)

    with pytest.raises(DigestMismatchError):
        load_manifest(source, entry)


def test_a_size_that_is_too_small_is_wrong_where_it_is_not_kraftkits() -> None:
    source = MemorySource(stored(), "package")
    entry = load_root(source)[1].manifests[0]  # type: ignore[union-attr]
    for other in (
        Descriptor(media_type=entry.media_type, digest=entry.digest, size=32),
        Descriptor(media_type=entry.media_type, digest=entry.digest, size=31, annotations=entry.annotations),
    ):
        with pytest.raises(SizeMismatchError):
            load_manifest(source, other)


def test_verify_tells_the_sizes_and_nothing_else() -> None:
    report = verify_image(MemorySource(stored(), "package"))

    assert report.images == 3
    assert [type(finding.error) for finding in report.problems] == [SizeMismatchError, SizeMismatchError]
    with pytest.raises(SizeMismatchError):
        report.raise_worst()


def test_the_repair_has_right_sizes_and_the_same_images() -> None:
    source, repaired = MemorySource(stored(), "package"), MemoryStore()

    packed = fixed_index(source, MemorySink(repaired, "package"), verify_image(source).diff_ids)

    index, before = packed.manifest, load_root(source)[1]
    assert isinstance(index, Index)
    assert isinstance(before, Index)
    assert [entry.digest for entry in index.manifests] == [entry.digest for entry in before.manifests]
    assert [entry.size for entry in index.manifests] == [len(repaired.blobs[e.digest]) for e in index.manifests]
    assert (index.annotations, index.manifests[0].platform) == (before.annotations, before.manifests[0].platform)
    assert verify_image(MemorySource(repaired, "package")).ok


def test_the_repair_is_had_from_the_command_line(run: Run, tmp_path: Path) -> None:
    with in_a_layout(tmp_path):
        reference = f"oci:{tmp_path}/layout:uk/multi:1"
        assert run("verify", reference, exits=6).out.count("wrong: ") == 2

        run("verify", reference, "--fix", f"oci:{tmp_path}/fixed:1")
        would_be = run("verify", reference, "--fix", f"oci:{tmp_path}/none:1", "--dry-run", exits=6)

    assert "would be written" in would_be.out
    assert not (tmp_path / "none").exists()
    run("verify", f"oci:{tmp_path}/fixed:1")


def test_what_changes_the_images_changes_the_sizes_too() -> None:
    """Layers that are compressed on their way make new manifests, and a new index."""
    sink = MemorySink(MemoryStore(), "package")

    copy(MemorySource(stored(), "package"), sink, CopyRequest(codec=Codec.parse("gzip")))

    _, index = load_root(MemorySource(sink.store, "package"))
    assert isinstance(index, Index)
    assert [entry.size for entry in index.manifests] == [len(sink.store.blobs[e.digest]) for e in index.manifests]


def test_another_format_has_right_sizes() -> None:
    sink = MemorySink(MemoryStore(), "package")

    copy(MemorySource(stored(), "package"), sink, CopyRequest(format="unikraft", all_platforms=True))

    assert verify_image(MemorySource(sink.store, "package")).ok


def test_a_package_is_kept_whole_byte_for_byte() -> None:
    """Nobody finds a target alone: a package of KraftKit's is an index."""
    sink, heard = MemorySink(MemoryStore(), "package"), Listening()

    packed = copy(MemorySource(stored(), "package"), sink, options=TransferOptions(reporter=heard))

    assert packed.descriptor.digest == Digest.parse(MULTI["index digest"])
    assert heard.warnings == []
    assert {entry.digest for entry in packed.manifest.manifests} <= sink.store.blobs.keys()  # type: ignore[union-attr]


def test_a_package_is_said_again_whole_too() -> None:
    sink = MemorySink(MemoryStore(), "package")

    copy(MemorySource(stored(), "package"), sink, CopyRequest(format="unikraft"))

    _, index = load_root(MemorySource(sink.store, "package"))
    assert isinstance(index, Index)
    assert [str(entry.platform) for entry in index.manifests] == list(TARGETS)


def test_one_target_is_taken_where_it_is_asked_for() -> None:
    sink = MemorySink(MemoryStore(), "package")

    copy(MemorySource(stored(), "package"), sink, CopyRequest(platform=parse_platform("xen/arm64")))

    assert str(load_image(MemorySource(sink.store, "package")).platform) == "xen/arm64"


def test_a_target_is_named_by_its_digest_in_containerd(tmp_path: Path) -> None:
    with a_containerd(tmp_path) as there, elsewhere("containerd:r.example/uk/multi:1", there.settings):
        digest = json.loads(MULTI["index"])["manifests"][0]["digest"]
        with open_source(f"containerd:r.example/uk/multi@{digest}", there.settings) as source:
            assert str(load_image(source).platform) == "qemu/x86_64"


@pytest.fixture
def run(capfd: pytest.CaptureFixture[str]) -> Run:
    return Run(capfd)


def a_package(**annotations: str) -> IndexBuilder:
    """A package of one target, its kernel not executable, with the debugging symbols that KraftKit adds."""
    image = (
        an_image()
        .platform("fc/arm64")
        .tar_layer(
            {"unikraft/bin/kernel": b"kernel"}, annotations={"org.unikraft.kernel.image": "/unikraft/bin/kernel"}
        )
        .tar_layer({"unikraft/bin/kernel.dbg": b"symbols"}, compression="gzip")
        .tar_layer({"my/initrd": b"initrd"}, annotations={"org.unikraft.kernel.initrd": "/my/initrd"})
        .annotation("sh.kraftkit.version", "0.9")
        .annotation("org.unikraft.kernel.version", "0.16.3")
        .annotation("x", "y")
    )
    return replace(an_index(image), annotations={"sh.kraftkit.version": "0.9", **annotations})


def said_again(source: Source, **how: Any) -> MemorySource:
    sink = MemorySink(MemoryStore(), "package")
    terms = WriteOptions(platform=parse_platform("linux/amd64"), **how)
    copy(source, sink, CopyRequest(format="unikraft", all_platforms=True, write=terms))
    return MemorySource(sink.store, "package")


def test_what_a_package_has_beside_its_parts_is_kept_in_a_new_one() -> None:
    before = a_package(who="me").build()
    after = said_again(before, name="r.example/uk/new:2", annotations={"more": "1"})

    old, new = load_image(before), load_image(after)
    assert [layer.digest for layer in new.manifest.layers] == list(old.config.diff_ids)
    assert [layer.annotations for layer in new.manifest.layers] == [layer.annotations for layer in old.manifest.layers]
    assert {layer.media_type for layer in new.manifest.layers} == {media_types.OCI_LAYER}
    assert new.config.diff_ids == old.config.diff_ids
    notes = new.manifest.annotations
    assert (notes["org.unikraft.kernel.version"], notes["x"], notes["more"]) == ("0.16.3", "y", "1")
    assert notes["sh.kraftkit.version"] == "0.9"
    assert notes["org.unikraft.image.name"] == "r.example/uk/new"
    assert load_root(after)[1].annotations["who"] == "me"
    assert verify_image(after).ok


def test_the_golden_package_said_again_has_the_same_layers_and_platforms() -> None:
    before, after = MemorySource(stored(), "package"), said_again(MemorySource(stored(), "package"))

    for platform in TARGETS:
        old, new = (load_image(source, parse_platform(platform)) for source in (before, after))
        assert new.manifest.layers == old.manifest.layers
        assert (new.platform, new.manifest.config.platform) == (old.platform, old.manifest.config.platform)


@pytest.mark.parametrize(
    ("system", "features"),
    [
        ("xen", ("CONFIG_ARCH_X86_64=y", "CONFIG_PLAT_XEN=y")),
        ("firecracker", ("CONFIG_ARCH_X86_64=y", "CONFIG_KVM_VMM_FIRECRACKER=y", "CONFIG_PLAT_KVM=y")),
        ("kraftcloud", ("CONFIG_ARCH_X86_64=y",)),
    ],
)
def test_what_a_unikernel_runs_on_can_be_said(system: str, features: tuple[str, ...]) -> None:
    sink = MemorySink(MemoryStore(), "package")
    terms = WriteOptions(platform=parse_platform("linux/amd64"), system=system)

    copy(
        MemorySource(stored(), "package"),
        sink,
        CopyRequest(format="unikraft", platform=parse_platform("qemu/x86_64"), write=terms),
    )

    platform = load_image(MemorySource(sink.store, "package")).platform
    assert platform
    assert platform.os == {"firecracker": "fc"}.get(system, system)
    assert platform.os_features == features


def test_it_can_be_said_on_the_command_line_and_of_unikernels_alone(run: Run, tmp_path: Path) -> None:
    (tmp_path / "kernel").write_bytes(b"kernel")
    layout, kernel = f"oci:{tmp_path}/layout", ("--kernel", tmp_path / "kernel")
    run("build", "--to", f"{layout}:legacy", *kernel, "--platform", "linux/arm64")

    run("copy", f"{layout}:legacy", f"{layout}:copied", "--format", "unikraft", "--plat", "xen")
    run(
        "build", "--to", f"{layout}:built", *kernel, "--format", "unikraft", "--plat", "fc", "--platform", "linux/amd64"
    )
    run(
        "push",
        "--remote",
        tmp_path / "layout",
        "pushed",
        *kernel,
        "--format",
        "unikraft",
        "--plat",
        "kvm",
        "--arch",
        "arm64",
    )

    told = {
        name: run("inspect", f"{layout}:{name}", "--json").json["platform"] for name in ("copied", "built", "pushed")
    }
    assert told == {"copied": "xen/arm64", "built": "fc/x86_64", "pushed": "qemu/arm64"}
    for words in (
        ("copy", f"{layout}:legacy", f"{layout}:no", "--format", "legacy"),
        ("copy", f"{layout}:legacy", f"{layout}:no"),
        ("build", "--to", f"{layout}:no", *kernel),
        ("push", "--remote", tmp_path / "layout", "no", *kernel),
    ):
        one_line(run(*words, "--plat", "xen", exits=2), "--plat", "unikraft")

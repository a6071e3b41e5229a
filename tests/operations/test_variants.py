"""What `--format ironcore` writes lists each image of the index under a name of its own too, as ironcore-image does
and as it needs to push the index, and to give a boot loader its files (docs/specs/ironcore.md#5,
docs/specs/ironcore.md#8)."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path
from typing import Any

import pytest

from eci_convert.oci.annotations import REF_NAME
from eci_convert.operations.copy import copy
from eci_convert.operations.copy_request import CopyRequest
from eci_convert.transports import open_sink, open_source
from eci_convert.transports.memory import MemorySink, MemorySource, MemoryStore
from eci_convert.transports.settings import Settings
from tests.support.command_line import Run
from tests.support.fake_containerd import a_containerd
from tests.support.fake_registry.server import a_registry
from tests.support.images import KERNEL_TYPE, an_image, an_index

TWO = an_index(
    an_image().platform("linux/amd64").layer(KERNEL_TYPE, b"kernel", role="kernel"),
    an_image().platform("linux/arm64").layer(KERNEL_TYPE, b"kernel for arm", role="kernel"),
)


def said_again(reference: str, settings: Settings | None = None) -> Any:
    """TWO as ironcore images under *reference*."""
    with open_sink(reference, settings or Settings()) as sink:
        return copy(TWO.build(), sink, CopyRequest(format="ironcore", all_platforms=True))


def digests(packed: Any) -> dict[str, str]:
    """The images of the index that was written, by architecture."""
    return {entry.platform.architecture: str(entry.digest) for entry in packed.manifest.manifests}


def resolved(reference: str, settings: Settings | None = None) -> str:
    with open_source(reference, settings or Settings()) as source:
        return str(source.resolve().digest)


@pytest.mark.parametrize("transport", ["oci:{}/store", "oci-archive:{}/store.tar"])
def test_a_layout_lists_every_image_of_the_index(transport: str, tmp_path: Path) -> None:
    reference = f"{transport.format(tmp_path)}:r.example/acme/machine:1"

    packed = said_again(reference)

    assert resolved(reference) == str(packed.descriptor.digest)
    for architecture, digest in digests(packed).items():
        assert resolved(f"{reference}-{architecture}") == digest


def test_the_index_comes_last_and_a_second_build_adds_no_entry(tmp_path: Path) -> None:
    for _ in range(2):
        packed = said_again(f"oci:{tmp_path}/store:r.example/acme/machine:1")

    entries = json.loads((tmp_path / "store/index.json").read_text())["manifests"]
    images = digests(packed)
    assert [(entry["annotations"][REF_NAME], entry["digest"]) for entry in entries] == [
        ("r.example/acme/machine:1-amd64", images["amd64"]),
        ("r.example/acme/machine:1-arm64", images["arm64"]),
        ("r.example/acme/machine:1", str(packed.descriptor.digest)),
    ]
    assert all("platform" not in entry for entry in entries)


def test_without_a_name_they_are_listed_and_the_index_is_the_one_image(tmp_path: Path) -> None:
    packed = said_again(f"oci:{tmp_path}/store")

    entries = json.loads((tmp_path / "store/index.json").read_text())["manifests"]
    assert {entry["digest"] for entry in entries} == {*digests(packed).values(), str(packed.descriptor.digest)}
    assert resolved(f"oci:{tmp_path}/store") == str(packed.descriptor.digest)


def test_a_registry_has_a_tag_for_each() -> None:
    with a_registry() as registry:
        reference = f"docker://{registry.host}/acme/machine"
        packed = said_again(f"{reference}:1")

        assert resolved(f"{reference}:1") == str(packed.descriptor.digest)
        for architecture, digest in digests(packed).items():
            assert resolved(f"{reference}:1-{architecture}") == digest


def test_a_registry_gets_no_tag_for_a_name_without_one() -> None:
    with a_registry() as registry:
        expected = said_again("oci-archive:/dev/null").descriptor.digest
        said_again(f"docker://{registry.host}/acme/machine@{expected}")

        assert not [name for _, name in registry.manifests if not name.startswith("sha256:")]


def test_containerd_has_a_record_for_each(tmp_path: Path) -> None:
    with a_containerd(tmp_path) as there:
        packed = said_again("containerd:r.example/acme/machine:1", there.settings)

        for architecture, digest in digests(packed).items():
            assert resolved(f"containerd:r.example/acme/machine:1-{architecture}", there.settings) == digest


def test_one_image_alone_has_its_name_too() -> None:
    store = MemoryStore()
    image = an_image().platform("linux/arm64").layer(KERNEL_TYPE, b"kernel", role="kernel")

    copy(image.build(), MemorySink(store, "machine:1"), CopyRequest(format="ironcore"))

    assert set(store.names) == {"machine:1", "machine:1-arm64"}


@pytest.mark.parametrize("format", ["artifacts", "legacy"])
def test_other_formats_have_one_name(format: str) -> None:
    store = MemoryStore()

    copy(TWO.build(), MemorySink(store, "machine:1"), CopyRequest(format=format, all_platforms=True))

    assert set(store.names) == {"machine:1"}
    assert MemorySource(store, "machine:1").resolve()


def test_it_is_so_from_the_command_line(run: Run, tmp_path: Path) -> None:
    with open_sink(f"oci:{tmp_path}/from:two", Settings()) as sink:
        copy(TWO.build(), sink, CopyRequest(all_platforms=True))

    destination = f"oci:{tmp_path}/to:r.example/m:1"
    run("copy", f"oci:{tmp_path}/from:two", destination, "--format", "ironcore", "--all-platforms")

    assert run("inspect", f"{destination}-arm64", "--json").json["dialect"] == "ironcore"


@pytest.fixture
def run(capfd: pytest.CaptureFixture[str]) -> Run:
    return Run(capfd)


@pytest.mark.parametrize("name", ["multi", "machine"])
def test_the_originals_images_said_again_are_listed_as_it_lists_them(name: str, tmp_path: Path) -> None:
    """But once each: it has every document a second time, without a name."""
    with tarfile.open(Path(__file__).parents[1] / "golden" / "ironcore" / "store-built.tar.gz") as archive:
        archive.extractall(tmp_path, filter="data")
    [store] = [path.parent for path in tmp_path.rglob("index.json")]
    reference = f"127.0.0.1:5711/acme/{name}:1"

    with (
        open_source(f"oci:{store}:{reference}", Settings()) as source,
        open_sink(f"oci:{tmp_path}/ours:{reference}", Settings()) as sink,
    ):
        copy(source, sink, CopyRequest(format="ironcore", all_platforms=True))

    assert named(tmp_path / "ours") == {key: one for key, one in named(store).items() if f"/{name}:" in key}


def named(store: Path) -> dict[str, str]:
    """The names in index.json, and the digests that they stand for."""
    entries = json.loads((store / "index.json").read_text())["manifests"]
    return {entry["annotations"][REF_NAME]: entry["digest"] for entry in entries if "annotations" in entry}

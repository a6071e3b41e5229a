"""What the original `eci` got wrong, and we do not: a test for each of D1 to D24 of docs/specs/eci.md#8."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from eci_convert.compression.codec import Codec
from eci_convert.dialects import WRITERS, read
from eci_convert.errors import MissingPartError, UsageError
from eci_convert.model import DiskType, RemoteBlob, Role
from eci_convert.oci.digest import Digest
from eci_convert.oci.manifest import Manifest, parse_manifest
from eci_convert.pack.image import pack
from eci_convert.reading.images import load_image as read_image
from eci_convert.reading.local_parts import Disk, artifact_from_parts
from eci_convert.transports.base import Source
from eci_convert.transports.memory import MemorySink, MemorySource, MemoryStore
from tests.support.command_line import Run, one_line
from tests.support.fake_containerd import a_containerd
from tests.support.fake_registry.server import a_registry
from tests.support.images import (
    KERNEL_TYPE,
    LABEL,
    MEDIA_TYPE,
    ROLE,
    TITLE,
    ImageBuilder,
    IndexBuilder,
    a_container,
    a_machine,
    a_tar,
    an_image,
    an_index,
    copied,
    files_in,
)
from tests.support.machines import TERMS

NAME = "docker.io/lfedge/machine:1"
TGZ = "application/vnd.oci.image.layer.v1.tar+gzip"
DISK = "application/vnd.lfedge.disk.layer.v1+"


@pytest.fixture
def run(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    """The command line in an empty directory, by somebody who has never used it."""
    for name in ("SOURCE_DATE_EPOCH", "XDG_STATE_HOME", "XDG_CACHE_HOME", "ECI_CONVERT_DEBUG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    return Run(capfd)


@pytest.fixture
def parts(tmp_path: Path) -> list[str]:
    """The words for a small machine, whose files hold their own names as those of the original's tests do."""
    (tmp_path / "in").mkdir()
    for name in ("kernel", "initrd", "root.raw", "disk1.qcow2", "d2.iso"):
        (tmp_path / "in" / name).write_text(name)
    return [
        "--kernel=in/kernel", "--initrd=in/initrd", "--root=in/root.raw:raw", "--disk=in/disk1.qcow2:qcow2",
        "--disk=in/d2.iso:iso",
    ]  # fmt: skip


PULLED = {
    "kernel": b"kernel",
    "initrd": b"initrd",
    "disk-root-root.raw": b"root.raw",
    "disk-0-disk1.qcow2": b"disk1.qcow2",
    "disk-1-d2.iso": b"d2.iso",
}


def push(run: Run, layout: Path, *words: str | Path, name: str = NAME, exits: int = 0) -> str:
    return run("push", "--remote", layout, name, *words, exits=exits).out


def pulled(run: Run, layout: Path, name: str = NAME, to: str = "out") -> dict[str, bytes]:
    """Every file that `pull` wrote, without the config."""
    run("pull", "--remote", layout, name, "--dir", to)
    found = files_in(Path(to))
    assert json.loads(found.pop("config.json"))
    return found


def blob(layout: Path, digest: str) -> bytes:
    return (layout / "blobs" / digest.replace(":", "/")).read_bytes()


def document(layout: Path, digest: str) -> Any:
    return json.loads(blob(layout, digest))


def manifest(layout: Path, which: int = 0) -> Any:
    index = json.loads((layout / "index.json").read_bytes())
    return document(layout, index["manifests"][which]["digest"])


def in_layout(image: ImageBuilder | IndexBuilder, layout: Path, name: str = "machine:1") -> Source:
    from eci_convert.transports import open_sink, open_source
    from eci_convert.transports.settings import Settings

    copied(image.build(), open_sink(f"oci:{layout}:{name}", Settings()))
    return open_source(f"oci:{layout}:{name}", Settings())


def padded_tar(members: Iterable[tuple[str, bytes]]) -> bytes:
    """An archive with the padding of GNU tar and of Python's tarfile: records of 10240 bytes."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, content in members:
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    assert len(buffer.getvalue()) % 10240 == 0
    return buffer.getvalue()


def test_diff_ids_are_those_of_the_uncompressed_layers(run: Run, parts: list[str], tmp_path: Path) -> None:
    """ECI D1: the digests of compressed blobs, and those of the wrong ones."""
    push(run, tmp_path / "l", *parts, "--format", "legacy")
    found = manifest(tmp_path / "l")
    told = document(tmp_path / "l", found["config"]["digest"])["rootfs"]["diff_ids"]
    tars = [gzip.decompress(blob(tmp_path / "l", layer["digest"])) for layer in found["layers"]]
    assert told == [str(Digest.of(tar)) for tar in tars]
    assert len(set(told)) == 5
    run("verify", f"oci:{tmp_path}/l")


def test_manifests_and_indexes_have_schema_version_2(run: Run, parts: list[str], tmp_path: Path) -> None:
    """ECI D2: schemaVersion 0, in both."""
    push(run, tmp_path / "l", *parts)
    assert manifest(tmp_path / "l")["schemaVersion"] == 2
    assert json.loads((tmp_path / "l/index.json").read_bytes())["schemaVersion"] == 2


def test_another_name_is_not_found_and_reading_makes_no_directory(run: Run, parts: list[str], tmp_path: Path) -> None:
    """ECI D3: whatever was asked for, the first image came; and a directory was made where there was none."""
    push(run, tmp_path / "l", *parts)
    one_line(run("pull", "--remote", tmp_path / "l", "docker.io/other/thing:zzz", "--dir", "out", exits=4), "zzz")
    assert not (tmp_path / "out").exists()
    one_line(run("pull", "--remote", tmp_path / "none", NAME, exits=4), "none")
    assert not (tmp_path / "none").exists()


def test_a_layout_keeps_every_image_that_is_pushed_to_it(run: Run, parts: list[str], tmp_path: Path) -> None:
    """ECI D4: a second push dropped the first image, and no oci-layout file was written."""
    push(run, tmp_path / "l", *parts, name="x/one:1")
    push(run, tmp_path / "l", "--kernel=in/initrd", name="x/two:1")
    assert pulled(run, tmp_path / "l", "x/one:1", "one") == PULLED
    assert pulled(run, tmp_path / "l", "x/two:1", "two") == {"kernel": b"initrd"}
    assert json.loads((tmp_path / "l/oci-layout").read_bytes()) == {"imageLayoutVersion": "1.0.0"}


def test_the_name_that_is_pushed_is_the_name_that_is_stored(run: Run, parts: list[str], tmp_path: Path) -> None:
    """ECI D5: `@sha256:…` was added to it, so in containerd nobody found it again."""
    push(run, tmp_path / "l", *parts)
    [entry] = json.loads((tmp_path / "l/index.json").read_bytes())["manifests"]
    assert entry["annotations"]["org.opencontainers.image.ref.name"] == NAME
    with a_containerd(tmp_path) as there:
        run("push", "--remote", f"containerd:{there.address}", NAME, *parts)
        assert list(there.images) == [NAME]
        run("pull", "--remote", f"containerd:{there.address}", NAME, "--dir", "out")
    assert (tmp_path / "out/kernel").read_bytes() == b"kernel"


def test_a_blob_that_is_not_what_its_digest_says_is_neither_read_nor_kept(
    run: Run, parts: list[str], tmp_path: Path
) -> None:
    """ECI D6: nothing was verified, and a good blob was truncated before it was written anew."""
    push(run, tmp_path / "l", *parts)
    path = tmp_path / "l/blobs/sha256" / hashlib.sha256(b"kernel").hexdigest()
    with path.open("rb") as held:
        push(run, tmp_path / "l", *parts)
        assert held.read() == b"kernel"
    path.write_bytes(b"lenrek")
    one_line(run("pull", "--remote", tmp_path / "l", NAME, "--dir", "out", exits=6), "digest")
    assert not (tmp_path / "out").exists()
    push(run, tmp_path / "l", *parts)
    assert pulled(run, tmp_path / "l") == PULLED


@pytest.mark.parametrize("form", ["artifacts", "legacy"])
@pytest.mark.parametrize("which", [*range(5)])
def test_every_part_may_be_left_out(run: Run, parts: list[str], tmp_path: Path, which: int, form: str) -> None:
    """ECI D7: without a kernel and an initrd there was an error."""
    push(run, tmp_path / "l", parts[which], "--format", form)
    assert len(pulled(run, tmp_path / "l")) == 1


def test_a_config_of_ones_own_leaves_a_legacy_image_valid(run: Run, parts: list[str], tmp_path: Path) -> None:
    """ECI D8: the config was a layer, and the image had none."""
    (tmp_path / "in/cfg.json").write_bytes(b'{"abc":"def"}\n')
    push(run, tmp_path / "l", *parts, "--config=in/cfg.json", "--format", "legacy")
    config = manifest(tmp_path / "l")["config"]
    assert config["mediaType"] == "application/vnd.oci.image.config.v1+json"
    assert document(tmp_path / "l", config["digest"])["config"]["Labels"][LABEL + "kernel"] == "/kernel"
    run("pullfiles", "--remote", tmp_path / "l", NAME, "--kernel", "k", "--config", "c")
    assert (tmp_path / "k").read_bytes() == b"kernel"
    assert (tmp_path / "c").read_bytes() == b'{"abc":"def"}\n'
    run("verify", f"oci:{tmp_path}/l")


def test_pull_unpacks_legacy_and_container_images(run: Run, parts: list[str], tmp_path: Path) -> None:
    """ECI D9: legacy images came as archives, container images not at all."""
    push(run, tmp_path / "l", *parts, "--format", "legacy")
    assert pulled(run, tmp_path / "l") == PULLED
    in_layout(a_container(), tmp_path / "c")
    assert set(pulled(run, tmp_path / "c", "machine:1", "c-out")) == {"kernel", "initrd", "disk-root-root.raw"}


def test_an_image_without_a_kernel_and_an_initrd_is_no_disaster(run: Run, parts: list[str], tmp_path: Path) -> None:
    """ECI D10: a nil pointer was followed, also after everything had been written."""
    push(run, tmp_path / "l", parts[2])
    assert pulled(run, tmp_path / "l") == {"disk-root-root.raw": b"root.raw"}
    run("pullfiles", "--remote", tmp_path / "l", NAME, "--root", "r")
    assert (tmp_path / "r").read_bytes() == b"root.raw"
    one_line(run("pullfiles", "--remote", tmp_path / "l", NAME, "--kernel", "k", exits=8), "kernel")


def test_pulling_twice_is_pulling_once(run: Run, parts: list[str], tmp_path: Path) -> None:
    """ECI D11: the second time the bytes were appended."""
    push(run, tmp_path / "l", *parts)
    for _ in range(2):
        run("pullfiles", "--remote", tmp_path / "l", NAME, "--kernel", "k")
        assert pulled(run, tmp_path / "l") == PULLED
    assert (tmp_path / "k").read_bytes() == b"kernel"


@pytest.mark.parametrize("form", ["artifacts", "legacy"])
def test_pullfiles_takes_configs_and_extra_disks(run: Run, parts: list[str], tmp_path: Path, form: str) -> None:
    """ECI D12: configs came out empty, extra disks not at all."""
    push(run, tmp_path / "l", *parts, "--format", form)
    run("pullfiles", "--remote", tmp_path / "l", NAME, "--config", "c", "--disk", "0=d0", "--disk", "1=d1")
    assert (tmp_path / "c").read_bytes() == blob(tmp_path / "l", manifest(tmp_path / "l")["config"]["digest"])
    assert (tmp_path / "d0").read_bytes() == b"disk1.qcow2"
    assert (tmp_path / "d1").read_bytes() == b"d2.iso"


@pytest.mark.parametrize("size", ["0", "1", "32768"])
def test_no_blocksize_changes_anything(run: Run, parts: list[str], tmp_path: Path, size: str) -> None:
    """ECI D13: --blocksize was taken and forgotten; we choose ourselves, and say so in no output."""
    push(run, tmp_path / "l", *parts, "--blocksize", size)
    said = run("pullfiles", "--remote", tmp_path / "l", NAME, "--kernel", "k", "--blocksize", size, "--OS", "linux")
    run("pull", "--remote", tmp_path / "l", NAME, "--dir", "out", "--blocksize", size, "--OS", "linux")
    assert (tmp_path / "k").read_bytes() == (tmp_path / "out/kernel").read_bytes() == b"kernel"
    assert not said.err


@pytest.mark.parametrize("label", ["/boot/kernel", "boot/kernel", "./boot/kernel"])
@pytest.mark.parametrize("entry", ["boot/kernel", "./boot/kernel", "/boot/kernel"])
def test_a_file_is_found_however_its_path_is_spelt(run: Run, tmp_path: Path, entry: str, label: str) -> None:
    """ECI D14: `./kernel` in the archive was not `kernel`, and an empty file came out."""
    in_layout(an_image().tar_layer(a_tar({entry: b"kernel"})).label(LABEL + "kernel", label), tmp_path / "l")
    assert pulled(run, tmp_path / "l", "machine:1") == {"kernel": b"kernel"}


def test_padding_behind_an_archive_is_read(run: Run, tmp_path: Path) -> None:
    """ECI D15: for ever."""
    archive = padded_tar([("kernel", b"kernel")]) + bytes(64 * 10240)
    in_layout(an_image().tar_layer(archive, compression="gzip").label(LABEL + "kernel", "/kernel"), tmp_path / "l")
    assert pulled(run, tmp_path / "l", "machine:1") == {"kernel": b"kernel"}


@pytest.mark.parametrize("compression", ["none", "gzip", "zstd"])
@pytest.mark.parametrize("family", ["oci.image.layer.v1.tar+", "docker.image.rootfs.diff.tar."])
def test_every_compression_is_undone(run: Run, tmp_path: Path, compression: str, family: str) -> None:
    """ECI D16: nothing but gzip was."""
    kind = f"application/vnd.{family}{compression}".removesuffix("+none").removesuffix(".none")
    layer = an_image().tar_layer({"kernel": b"kernel"}, compression=compression, media_type=kind)
    in_layout(layer.label(LABEL + "kernel", "/kernel"), tmp_path / "l")
    assert pulled(run, tmp_path / "l", "machine:1") == {"kernel": b"kernel"}


def test_of_several_platforms_one_is_chosen(run: Run, tmp_path: Path) -> None:
    """ECI D17: all of them were written to the same files; the search for a config ended at the first child without."""
    attestation = an_image().platform("unknown/unknown").config(b"{}", "application/vnd.in-toto+json")
    amd64, arm64 = (a_machine(word.encode()).platform(f"linux/{word}") for word in ("amd64", "arm64"))
    in_layout(an_index(attestation, amd64, arm64), tmp_path / "l")
    for word in ("amd64", "arm64"):
        run("pull", "--remote", tmp_path / "l", "machine:1", "--platform", f"linux/{word}", "--dir", word)
        assert (tmp_path / word / "kernel").read_bytes() == word.encode()
        assert json.loads((tmp_path / word / "config.json").read_bytes())["architecture"] == word


@pytest.mark.parametrize("form", ["artifacts", "legacy"])
def test_an_index_whose_config_is_ecis_own_gives_it(run: Run, parts: list[str], tmp_path: Path, form: str) -> None:
    """ECI D17, its last part: a config of ECI's type was never found."""
    (tmp_path / "in/cfg.json").write_bytes(b'{"abc":"def"}\n')
    push(run, tmp_path / "l", parts[0], "--config=in/cfg.json", "--format", form)
    run("pull", "--remote", tmp_path / "l", NAME, "--dir", "out")
    assert files_in(tmp_path / "out") == {"kernel": b"kernel", "config.json": b'{"abc":"def"}\n'}


def test_what_is_in_memory_is_archived_as_a_file_is(tmp_path: Path) -> None:
    """ECI D18: it was called an archive, and was none."""
    store = MemoryStore()
    made = artifact_from_parts(kernel=b"kernel", disks=[Disk(content=b"disk", name="d.raw", type=DiskType.RAW)])
    pack(WRITERS["legacy"](made, TERMS), MemorySink(store), codec=Codec.parse("gzip"))
    layers = read_image(MemorySource(store)).manifest.layers
    with tarfile.open(fileobj=io.BytesIO(gzip.decompress(store.blobs[layers[0].digest]))) as archive:
        assert archive.getnames() == ["kernel"]


def test_what_is_known_by_its_digest_is_not_claimed_to_be_archived() -> None:
    """ECI D18 again: what nobody has cannot be put into an archive, and a disk needs a name."""
    made = artifact_from_parts(kernel=RemoteBlob(digest=Digest.of(b"kernel"), size=6))
    with pytest.raises(MissingPartError, match="digest alone"):
        pack(WRITERS["legacy"](made, TERMS), MemorySink(MemoryStore()), codec=Codec.parse("gzip"))
    with pytest.raises(UsageError, match="name"):
        artifact_from_parts(disks=[Disk(content=b"disk", type=DiskType.RAW)])


def test_an_unknown_type_is_not_raw_and_other_files_are_pulled(run: Run, tmp_path: Path) -> None:
    """ECI D19: a type that nobody knows was raw, and what was no kernel, initrd or disk was lost."""
    image = (
        an_image()
        .layer("application/octet-stream", b"disk", role="disk-root", title="disk-root-x.new")
        .layer("application/vnd.lfedge.eci.layer.v1", b"other", title="notes.txt", annotations={
            MEDIA_TYPE: "application/vnd.lfedge.eci.layer.v1", ROLE: "",
        })
    )  # fmt: skip
    _, found = read(read_image(in_layout(image, tmp_path / "l")))
    assert [(part.role, part.disk_type) for part in found.parts] == [(Role.ROOT_DISK, None), (Role.OTHER, None)]
    assert pulled(run, tmp_path / "l", "machine:1") == {"disk-root-x.new": b"disk", "notes.txt": b"other"}


def test_a_manifest_that_containerd_has_still_gets_its_name_and_its_labels(
    run: Run, parts: list[str], tmp_path: Path
) -> None:
    """ECI D20: it got neither, so the garbage collector came; and a lease was never released."""
    with a_containerd(tmp_path) as there:
        for name in ("x.io/m:1", "x.io/m:2", "x.io/m:2"):
            run("push", "--remote", f"containerd:{there.address}", name, *parts)
        run("pull", "--remote", f"containerd:{there.address}", "x.io/m:2", "--dir", "out")
        assert set(there.images) == {"x.io/m:1", "x.io/m:2"}
        [digest] = {image.target.digest for image in there.images.values()}
        kept = [value for key, value in there.labels[digest].items() if key.startswith("containerd.io/gc.ref.content")]
        found = json.loads(there.blobs[digest])
        assert set(kept) >= {layer["digest"] for layer in [*found["layers"], found["config"]]}
        assert not there.leases


def test_the_same_parts_make_the_same_image_at_any_time(
    run: Run, parts: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """ECI D21: `created` was the time of day, whatever was asked for."""
    for day, layout in (("1600000000", "one"), ("1600000000", "two"), ("", "three")):
        monkeypatch.setenv("SOURCE_DATE_EPOCH", day)
        (tmp_path / "in/kernel").touch()
        push(run, tmp_path / layout, *parts, "--format", "legacy")
    one, two, three = (files_in(tmp_path / layout) for layout in ("one", "two", "three"))
    assert one == two != three
    created = [document(tmp_path / each, manifest(tmp_path / each)["config"]["digest"])["created"] for each in
               ("one", "three")]  # fmt: skip
    assert created == ["2020-09-13T12:26:40Z", "1970-01-01T00:00:00Z"]


def test_no_name_in_an_image_leads_out_of_the_directory(run: Run, tmp_path: Path) -> None:
    """ECI D22: names were joined to the directory as they were."""
    for number, name in enumerate(("../evil", "/etc/evil", "a/../../evil")):
        layout = tmp_path / f"l{number}"
        in_layout(an_image().layer(KERNEL_TYPE, b"kernel", annotations={TITLE: name, ROLE: "kernel"}), layout)
        one_line(run("pull", "--remote", layout, "machine:1", "--dir", "out/here", exits=7))
        layout = tmp_path / f"m{number}"
        in_layout(an_image().tar_layer(padded_tar([(name, b"x")])).label(LABEL + "kernel", "/kernel"), layout)
        assert run("pull", "--remote", layout, "machine:1", "--dir", "out/here", exits=8 if name[0] == "/" else 7).err
    assert not list(tmp_path.rglob("evil"))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["a:b.img", "C:raw", "a,b.img", "x:raw,y.img"])
def test_paths_may_hold_colons_and_commas(run: Run, tmp_path: Path, name: str) -> None:
    """ECI D23: paths were cut at the first colon and at every comma; and a word that is no verb was no error."""
    (tmp_path / name).write_bytes(b"disk")
    push(run, tmp_path / "l", "--disk", f"{name}:raw", "--root", f"{name}:raw")
    found = pulled(run, tmp_path / "l")
    assert found == {f"disk-0-{name}": b"disk", f"disk-root-{name}": b"disk"}
    one_line(run("frobnicate", exits=2), "frobnicate")
    assert run().out.startswith("Usage: ")


def test_commas_between_disks_that_are_there_are_commas_between_disks(
    run: Run, parts: list[str], tmp_path: Path
) -> None:
    """ECI D23 again: scripts that rely on it go on working."""
    push(run, tmp_path / "l", "--disk=in/disk1.qcow2:qcow2,in/d2.iso:iso", "--disk=in/root.raw:raw")
    assert pulled(run, tmp_path / "l") == {
        "disk-0-disk1.qcow2": b"disk1.qcow2", "disk-1-d2.iso": b"d2.iso", "disk-2-root.raw": b"root.raw",
    }  # fmt: skip
    one_line(run("push", "--remote", tmp_path / "m", NAME, "--disk=in/d2.iso:iso,in/no:raw", exits=4), "in/no")


@pytest.mark.parametrize("form", ["artifacts", "legacy"])
def test_what_goes_over_the_wire_is_what_was_meant(run: Run, parts: list[str], form: str) -> None:
    """ECI D24: no test of the original looked at a byte that was sent, and one could never fail."""
    types = [
        KERNEL_TYPE, "application/vnd.lfedge.eci.initrd.layer.v1+cpio", DISK + "raw", DISK + "qcow2", DISK + "iso",
    ]  # fmt: skip
    with a_registry() as registry:
        run("push", f"{registry.host}/edge/machine:1", *parts, "--format", form)
        kind, text = registry.manifests["edge/machine", "1"]
        found = parse_manifest(text, kind)
        assert isinstance(found, Manifest)
        assert kind == found.media_type == "application/vnd.oci.image.manifest.v1+json"
        assert [layer.annotations[MEDIA_TYPE] for layer in found.layers] == types
        assert [layer.media_type for layer in found.layers] == (types if form == "artifacts" else [TGZ] * 5)
        for layer, (title, content) in zip(found.layers, PULLED.items(), strict=True):
            held = registry.blobs[str(layer.digest)]
            assert (layer.annotations[TITLE], layer.size, Digest.of(held)) == (title, len(held), layer.digest)
            assert (held if form == "artifacts" else gzip.decompress(held)[512 : 512 + len(content)]) == content
        assert Digest.of(registry.blobs[str(found.config.digest)]) == found.config.digest

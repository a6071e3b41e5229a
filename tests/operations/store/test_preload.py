"""Images in a containers-storage tree: the archive is the tree, whoever writes it, and the same every time."""

from __future__ import annotations

import io
import json
import os
import stat
import tarfile
from pathlib import Path

import pytest

from eci_convert.cli import main
from eci_convert.reading.blobs import open_layer
from eci_convert.reading.images import load_image
from eci_convert.transports import open_sink, open_source
from eci_convert.transports.settings import Settings
from tests.support.command_line import Run, one_line
from tests.support.images import ImageBuilder, an_image, copied
from tests.support.storage_layers import an_archive, member, seen

BASE = an_archive(
    member("boot/", "dir", mode=0o750, mtime=1_400_000_000),
    member("boot/kernel", content=b"kernel" * 3000, mode=0o600, mtime=1_500_000_000.25),
    member("boot/again", "hard", linkname="boot/kernel"),
    member("etc/", "dir"),
    member("etc/gone", content=b"gone"),
    member("etc/link", "link", linkname="gone"),
    member("var/", "dir"),
    member("var/old", content=b"old"),
    member("implied/parent/file", content=b"file"),
    member("su", content=b"su", mode=0o4755, uid=5, gid=6),
    member("pipe", "fifo"),
    member("ä" * 60 + "/" + "b" * 120, content=b"long"),
    member("attributes", content=b"x", pax_headers={"SCHILY.xattr.user.colour": "red"}),
)
UPPER = an_archive(
    member("etc/", "dir"),
    member("etc/.wh.gone"),
    member("var/", "dir"),
    member("var/.wh..wh..opq"),
    member("var/new", content=b"new"),
    member("boot/.wh.again"),
    member("implied/.wh.parent"),
    member("implied/parent/", "dir", mode=0o700),
    member("boot/again", content=b"another"),
    member("disk", content=bytes(1 << 20) + b"data" * 1000 + bytes(1 << 20)),
)
IMAGE = an_image().tar_layer(BASE, compression="gzip").tar_layer(UPPER, compression="zstd")
OTHER = an_image().tar_layer(BASE, compression="gzip").label("a", "b")
SETTINGS = Settings(environ={"HOME": "/nonexistent"})


@pytest.fixture
def images(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A layout of two images that share a layer, in the current directory."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.delenv("SOURCE_DATE_EPOCH", raising=False)
    monkeypatch.chdir(tmp_path)
    put(IMAGE, "edge/app:1")
    put(OTHER, "edge/other:2")


@pytest.fixture
def run(capfd: pytest.CaptureFixture[str], images: None) -> Run:
    return Run(capfd)


def put(image: ImageBuilder, name: str) -> None:
    copied(image.build(), open_sink(f"oci:layout:{name}", SETTINGS))


def unpack(archive: Path, folder: Path) -> Path:
    """The tree in *archive*, as far as this user may make it; directories are left open."""
    with tarfile.open(archive) as file:
        for info in file:
            if info.isdir():
                info.mode |= 0o700
            if not (info.ischr() and os.geteuid()):
                file.extract(info, folder, filter="fully_trusted")
    return folder / "var/lib/containers/storage"


def members(archive: Path) -> dict[str, tarfile.TarInfo]:
    with tarfile.open(archive) as file:
        return {info.name: info for info in file}


def described(root: Path) -> dict[str, tuple[object, ...]]:
    """What each file below *root* is, but for times and modes of what no image has."""
    found: dict[str, tuple[object, ...]] = {}
    for path in root.rglob("*"):
        state = os.lstat(path)
        kind = stat.S_IFMT(state.st_mode)
        below = "/diff/" in f"/{path}" or "/vfs/dir/" in str(path)
        words: tuple[int, ...] = (kind, state.st_uid, state.st_gid, state.st_rdev)
        if below and not stat.S_ISLNK(kind) and not stat.S_ISDIR(kind) and not stat.S_ISCHR(kind):
            words = (*words, stat.S_IMODE(state.st_mode), int(state.st_mtime))
        content = path.read_bytes() if stat.S_ISREG(kind) else os.readlink(path) if stat.S_ISLNK(kind) else None
        found[str(path.relative_to(root))] = (*words, content)
    return found


@pytest.mark.parametrize("driver", ["overlay", "vfs"])
def test_the_archive_is_the_tree(run: Run, driver: str, tmp_path: Path) -> None:
    references = ("oci:layout:edge/app:1", "oci:layout:edge/other:2")

    run("preload", *references, "-o", "images.tar", "--driver", driver)
    run("preload", *references, "--root", "tree", "--driver", driver)

    if os.geteuid() != 0:
        pytest.skip("the tree of an ordinary user belongs to that user")
    assert described(unpack(Path("images.tar"), tmp_path / "unpacked")) == described(Path("tree"))


@pytest.mark.parametrize("driver", ["overlay", "vfs"])
def test_the_same_images_make_the_same_archive(run: Run, driver: str, monkeypatch: pytest.MonkeyPatch) -> None:
    words = ("preload", "oci:layout:edge/other:2", "oci:layout:edge/app:1", "--driver", driver)

    run(*words, "-o", "one.tar")
    run(*words, "-o", "two.tar", "--concurrency", "1")
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1600000000")
    run(*words, "-o", "later.tar")

    assert Path("one.tar").read_bytes() == Path("two.tar").read_bytes()
    assert {info.mtime for info in members(Path("one.tar")).values() if info.name.endswith(".json")} == {0}
    assert {info.mtime for info in members(Path("later.tar")).values() if info.name.endswith(".json")} == {1600000000}
    assert not list(Path().glob("eci-convert-*")), "something was left in TMPDIR"


@pytest.mark.parametrize("driver", ["overlay", "vfs"])
def test_the_images_are_read_from_it_as_they_were(run: Run, driver: str, tmp_path: Path) -> None:
    run("preload", "oci:layout:edge/app:1", "oci:layout:edge/other:2", "-o", "images.tar", "--driver", driver)

    root = unpack(Path("images.tar"), tmp_path / "unpacked")

    for image, name in ((IMAGE, "edge/app:1"), (OTHER, "edge/other:2")):
        with open_source(f"containers-storage:[{driver}@{root}]{name}", SETTINGS) as source:
            found = load_image(source)
            assert found.config.diff_ids == image.diff_ids
            for layer, diff_id in zip(found.manifest.layers, image.diff_ids, strict=True):
                with open_layer(source, layer) as entries:
                    assert [entry.name for entry in entries]
                assert layer.digest == diff_id or layer.digest.algorithm == "sha256"


def test_shared_layers_are_there_once_and_no_state_of_a_run(run: Run) -> None:
    run("preload", "oci:layout:edge/app:1", "oci:layout:edge/other:2", "--root", "tree")
    before = {path: path.read_bytes() for path in Path("tree").rglob("*") if path.is_file() and path.suffix != ".lock"}
    run("preload", "oci:layout:edge/app:1", "--root", "tree")
    assert {path: path.read_bytes() for path in before} == before

    layers = json.loads(Path("tree/overlay-layers/layers.json").read_text())
    images = json.loads(Path("tree/overlay-images/images.json").read_text())
    assert len(layers) == 2
    assert [image["names"] for image in images] == [["docker.io/edge/app:1"], ["docker.io/edge/other:2"]]
    assert sorted(path.name for path in Path("tree/overlay").iterdir()) == sorted(["l", *(one["id"] for one in layers)])
    assert sorted(os.listdir("tree")) == ["overlay", "overlay-images", "overlay-layers"]
    beside = {path.name for one in layers for path in Path("tree/overlay", one["id"]).iterdir()}
    assert beside == {"diff", "link", "lower", "merged", "work", "empty"}


def test_the_locks_of_a_new_store_tell_of_no_process_and_an_old_one_keeps_its_layers_times(run: Run) -> None:
    run("preload", "oci:layout:edge/other:2", "--root", "tree")
    assert {path.name: path.stat().st_size for path in Path("tree").rglob("*.lock")} == {
        "layers.lock": 0, "images.lock": 0
    }  # fmt: skip
    records = Path("tree/overlay-layers/layers.json")
    records.write_text(records.read_text().replace("1970-01-01", "2001-02-03"))

    run("preload", "oci:layout:edge/app:1", "--root", "tree")

    assert [layer["created"][:10] for layer in json.loads(records.read_text())] == ["2001-02-03", "1970-01-01"]
    assert {path.stat().st_size for path in Path("tree").rglob("*.lock")} == {64}


def test_owners_devices_and_deletions_are_those_of_the_image(run: Run) -> None:
    run("preload", "oci:layout:edge/app:1", "-o", "images.tar", "--prefix", "/srv/store/")

    found = members(Path("images.tar"))
    by_end = {name.partition("/diff/")[2]: info for name, info in found.items() if "/diff/" in name}
    assert all(name.startswith("srv") for name in found)
    assert (by_end["su"].mode, by_end["su"].uid, by_end["su"].gid) == (0o4755, 5, 6)
    assert by_end["boot/kernel"].mtime == 1_500_000_000.25
    assert by_end["attributes"].pax_headers["SCHILY.xattr.user.colour"] == "red"
    assert (by_end["etc/gone"].ischr(), by_end["etc/gone"].devmajor, by_end["etc/gone"].devminor) == (True, 0, 0)
    assert by_end["var"].pax_headers["SCHILY.xattr.trusted.overlay.opaque"] == "y"
    assert (by_end["boot/again"].isreg(), by_end["boot/again"].size) == (True, 7)
    assert by_end["implied/parent"].mode == 0o700
    assert by_end["implied/parent"].pax_headers["SCHILY.xattr.trusted.overlay.opaque"] == "y"
    assert by_end["implied"].mode == 0o755
    assert not [name for name in by_end if ".wh." in name]


def test_vfs_keeps_what_the_layers_make_together(run: Run, tmp_path: Path) -> None:
    run("preload", "oci:layout:edge/app:1", "-o", "images.tar", "--driver", "vfs")

    root = unpack(Path("images.tar"), tmp_path / "unpacked")
    top = json.loads((root / "vfs-images/images.json").read_text())[0]["layer"]
    tree = seen(root / "vfs" / "dir" / top)
    assert tree["boot/again"] == b"another"
    assert tree["boot/kernel"] == b"kernel" * 3000
    assert tree["var/new"] == b"new"
    assert not {"etc/gone", "var/old", "implied/parent/file"} & set(tree)
    assert tree["implied/parent"] is None


def test_an_archive_goes_to_standard_output_and_words_to_standard_error(
    images: None, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    code = main(["preload", "oci:layout:edge/app:1", "-o", "-"])
    out, err = capfdbinary.readouterr()

    assert code == 0
    assert b"Preloaded docker.io/edge/app:1" in err
    with tarfile.open(fileobj=io.BytesIO(out)) as archive:
        assert "var/lib/containers/storage/overlay" in archive.getnames()


def test_results_are_json(run: Run) -> None:
    [found] = run("preload", "oci:layout:edge/app:1", "--root", "tree", "--json").json

    image = json.loads(Path("tree/overlay-images/images.json").read_text())[0]
    assert found == {
        "reference": "oci:layout:edge/app:1", "name": "docker.io/edge/app:1", "id": f"sha256:{image['id']}",
        "digest": image["digest"],
    }  # fmt: skip


@pytest.mark.parametrize("where", [("-o", "images.tar"), ("--root", "tree")])
def test_a_dry_run_says_the_same_and_writes_nothing(run: Run, where: tuple[str, str]) -> None:
    words = ("preload", "oci:layout:edge/app:1", "oci:layout:edge/other:2", *where)
    before = sorted(Path().rglob("*"))

    would_be = run(*words, "--dry-run", "--json").json
    said = run(*words, "--dry-run").out
    ids = run(*words, "--dry-run", "-q").out
    assert sorted(Path().rglob("*")) == before
    done = run(*words, "--json").json

    assert would_be == [image | {"dry_run": True} for image in done]
    assert said.startswith(f"Would preload docker.io/edge/app:1 into {where[1]} with id sha256:")
    assert ids.splitlines() == [image["id"] for image in done]


def test_an_archive_that_cannot_be_written_is_said_before_images_are_read(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != Path("locked").resolve())
    Path("locked").mkdir()

    one_line(run("preload", "oci:nowhere:no/such:1", "-o", "locked/a.tar", exits=9), "permission denied")


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (("oci:layout:edge/app:1",), 2, "-o FILE or --root DIR"),
        (("oci:layout:edge/app:1", "-o", "a.tar", "--root", "b"), 2, "-o FILE or --root DIR"),
        (("edge/app:1", "-o", "a.tar"), 2, "has no transport"),
        (("oci:layout", "-o", "a.tar"), 2, "does not say what the image is to be called"),
        (("oci:layout:edge/app:1", "-o", "a.tar", "--prefix", "../x"), 2, "leads out of the tree"),
        (("oci:layout:edge/app:1", "-o", "-", "--json"), 2, "--json"),
        (("oci:layout:no/such:1", "-o", "a.tar"), 4, "no/such:1"),
        (("oci:nowhere:no/such:1", "-o", "a.tar"), 4, "nowhere"),
        (("oci:layout:edge/artifact:1", "-o", "a.tar"), 8, "hold"),
        (("oci:layout:edge/app:1", "--root", "file"), 9, "file"),
        (("oci:layout:edge/app:1", "-o", "no/such/a.tar"), 9, "no/such"),
    ],
)
def test_what_cannot_be_done_is_one_line_and_leaves_nothing(
    run: Run, words: tuple[str, ...], code: int, message: str
) -> None:
    Path("file").write_text("in the way")
    put(an_image().layer("application/vnd.lfedge.eci.kernel.layer.v1+kernel", b"k", role="kernel"), "edge/artifact:1")

    one_line(run("preload", *words, exits=code), message)

    assert not Path("a.tar").exists()
    assert not list(Path().glob("eci-convert-*"))

"""The catalog contract over containers-storage, with either driver."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from eci_convert.errors import FormatError, LocalError, NotFoundError, TransportError
from eci_convert.operations.store.delete import delete
from eci_convert.operations.store.list import list_images
from eci_convert.operations.store.tag import tag
from eci_convert.transports.containers_storage import index_files
from eci_convert.transports.settings import Settings
from tests.support.contract.catalogs import CatalogContract, Place, image
from tests.support.images import files_in
from tests.support.programs import python


class StoreContract(CatalogContract):
    driver = ""

    @contextmanager
    def opened(self, directory: Path) -> Iterator[Place]:
        root = f"containers-storage:[{self.driver}@{directory / 'store'}]"
        yield Place(
            reference=root + "{}",
            root=root,
            settings=Settings(timeout=5),
            shown=lambda name: f"docker.io/library/{name}",
        )


class TestOverlay(StoreContract):
    driver = "overlay"


class TestVfs(StoreContract):
    driver = "vfs"


@pytest.fixture(params=["overlay", "vfs"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    root = f"containers-storage:[{request.param}@{tmp_path / 'store'}]"
    place = Place(
        reference=root + "x.io/{}", root=root, settings=Settings(timeout=5), shown=lambda name: f"x.io/{name}"
    )
    place.put("m:1", image(b"1"))
    place.put("m:2", image(b"2"))
    return place


def driver(place: Place) -> str:
    return place.root.partition("[")[2].partition("@")[0]


def records(place: Place, kind: str, store: Path) -> list[dict[str, Any]]:
    found = json.loads((store / f"{driver(place)}-{kind}" / f"{kind}.json").read_text())
    assert isinstance(found, list)
    return found


def layer_directories(place: Place, store: Path) -> set[str]:
    home = store / ("overlay" if driver(place) == "overlay" else "vfs/dir")
    return {path.name for path in home.iterdir() if len(path.name) == 64}


def test_layers_of_a_deleted_image_go_and_shared_ones_stay(place: Place, tmp_path: Path) -> None:
    store = tmp_path / "store"
    assert len(layer_directories(place, store)) == 3

    delete([place.at("m:1")], place.settings)

    kept = {record["id"] for record in records(place, "layers", store)}
    assert layer_directories(place, store) == kept
    assert len(kept) == 2
    assert {path.name.partition(".")[0] for path in store.rglob("*.tar-split.gz")} == kept
    [left] = records(place, "images", store)
    assert {path.name for path in (store / f"{driver(place)}-images").iterdir() if path.is_dir()} == {left["id"]}
    if driver(place) == "overlay":
        assert len(list((store / "overlay/l").iterdir())) == 2


def test_an_image_that_a_container_uses_stays(place: Place, tmp_path: Path) -> None:
    store = tmp_path / "store"
    first = records(place, "images", store)[0]
    containers = store / f"{driver(place)}-containers"
    containers.mkdir()
    (containers / "containers.json").write_text(json.dumps([{"id": 64 * "c", "image": first["id"], "layer": 64 * "1"}]))
    before = files_in(store)

    with pytest.raises(TransportError, match="used by container cccccccccccc"):
        delete([place.at("m:1")], place.settings)

    assert {name: data for name, data in files_in(store).items() if not name.endswith(".lock")} == {
        name: data for name, data in before.items() if not name.endswith(".lock")
    }


def test_a_layer_that_a_container_or_a_name_of_its_own_needs_stays(place: Place, tmp_path: Path) -> None:
    """buildah keeps containers whose image is gone."""
    store = tmp_path / "store"
    [top] = [record["layer"] for record in records(place, "images", store) if record["names"] == ["x.io/m:1"]]
    containers = store / f"{driver(place)}-containers"
    containers.mkdir()
    (containers / "containers.json").write_text(json.dumps([{"id": 64 * "c", "image": "", "layer": top}]))

    delete([place.at("m:1"), place.at("m:2")], place.settings)

    assert top in layer_directories(place, store)
    assert len(layer_directories(place, store)) == 2


KILLED = """
    import os, signal, sys
    from eci_convert.operations.store.delete import delete
    from eci_convert.transports.settings import Settings
    call, left = sys.argv[2], int(sys.argv[3])
    real = getattr(os, call)
    def deadly(*args, **kwargs):
        global left
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return real(*args, **kwargs)
    setattr(os, call, deadly)
    delete([sys.argv[1]], Settings(timeout=5))
"""


@pytest.mark.parametrize(
    ("call", "number"),
    [
        ("replace", 1),
        ("replace", 2),
        ("replace", 3),
        ("rmdir", 1),
        ("rmdir", 2),
        ("unlink", 1),
        ("unlink", 3),
        ("pwrite", 1),
    ],
)
def test_a_deletion_that_is_killed_leaves_others_whole_and_the_store_usable(
    place: Place, tmp_path: Path, call: str, number: int
) -> None:
    store = tmp_path / "store"

    done = subprocess.run(python(KILLED, place.at("m:1"), call, str(number)), check=False, timeout=60)

    assert done.returncode in (0, -signal.SIGKILL)
    place.check_whole("m:2")
    if "x.io/m:1" in place.names():
        place.check_whole("m:1")
        delete([place.at("m:1")], place.settings)
    place.put("m:1", image(b"1"))
    place.check_whole("m:1")
    place.check_whole("m:2")
    complete = {record["id"] for record in records(place, "layers", store) if not record.get("flags")}
    assert complete <= layer_directories(place, store)


def test_the_killings_kill(place: Place) -> None:
    done = subprocess.run(python(KILLED, place.at("m:1"), "replace", "2"), check=False, timeout=60)

    assert done.returncode == -signal.SIGKILL


def test_commands_at_once_each_find_a_whole_store(place: Place) -> None:
    for number in range(3, 9):
        place.put(f"m:{number}", image(b"%d" % number))
    program = """
        import sys
        from eci_convert.operations.store.delete import delete
        from eci_convert.transports.settings import Settings
        for name in sys.argv[2:]:
            delete([sys.argv[1] + f"x.io/m:{name}"], Settings(timeout=30))
    """

    running = [subprocess.Popen(python(program, place.root, *names)) for names in ("135", "246")]
    place.put("new:1", image(b"new"))

    assert [process.wait(120) for process in running] == [0, 0]
    assert place.names() == ["x.io/m:7", "x.io/m:8", "x.io/new:1"]
    for name in ("m:7", "m:8", "new:1"):
        place.check_whole(name)


def test_a_store_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    root = f"containers-storage:[overlay@{tmp_path}/none]"

    for work in (
        lambda: list_images(root),
        lambda: tag(f"{root}m:1", ["m:2"]),
        lambda: delete([f"{root}m:1"]),
    ):
        with pytest.raises(NotFoundError, match="is not an image store"):
            work()

    assert not (tmp_path / "none").exists()


def test_records_that_are_none_are_refused_and_stay(place: Place, tmp_path: Path) -> None:
    path = tmp_path / "store" / f"{driver(place)}-images/images.json"
    path.write_bytes(path.read_bytes()[:-5])
    before = files_in(tmp_path / "store")

    for work in (
        lambda: list_images(place.root, place.settings),
        lambda: tag(place.at("m:1"), ["m:3"], place.settings),
        lambda: delete([place.at("m:1")], place.settings),
    ):
        with pytest.raises(FormatError, match=r"images\.json: not JSON"):
            work()

    assert files_in(tmp_path / "store") == before


def test_images_of_additional_stores_are_listed_and_stay(place: Place, tmp_path: Path) -> None:
    settings = Settings(
        environ={
            "HOME": str(tmp_path),
            "STORAGE_DRIVER": driver(place),
            "XDG_DATA_HOME": str(tmp_path / "data"),
            "STORAGE_OPTS": f"{driver(place)}.imagestore={tmp_path / 'store'}",
            "CONTAINERS_STORAGE_CONF": str(tmp_path / "storage.conf"),
        }
    )
    (tmp_path / "storage.conf").write_text(f'[storage]\ndriver = "{driver(place)}"\ngraphroot = "{tmp_path}/own"\n')
    own = f"containers-storage:[{driver(place)}@{tmp_path}/own]"
    Place(reference=own + "x.io/{}", root=own).put("mine:1", image(b"mine"))

    assert [f"{one.name}:{one.tag}" for one in list_images("containers-storage:", settings)] == [
        "x.io/m:1", "x.io/m:2", "x.io/mine:1",
    ]  # fmt: skip
    with pytest.raises(LocalError, match="additional store"):
        delete(["containers-storage:x.io/m:1"], settings)
    place.check_whole("m:1")


def test_a_list_reads_the_index_files_once_however_many_images_there_are(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []
    original = index_files.load_records

    def counted(path: Path) -> list[dict[str, Any]]:
        read.append(path.name)
        return original(path)

    monkeypatch.setattr(index_files, "load_records", counted)

    assert len(place.images()) == 2
    assert sorted(read) == ["images.json", "layers.json"]


@pytest.mark.parametrize("content", ["{}", "[5]", '[{"id": "..", "parent": 5}]', "["])
def test_where_the_layers_cannot_be_read_no_image_is_deleted(place: Place, tmp_path: Path, content: str) -> None:
    store = tmp_path / "store"
    (store / f"{driver(place)}-layers/layers.json").write_text(content)
    before = files_in(store)

    with pytest.raises(FormatError, match=r"layers\.json"):
        delete([place.at("m:1")], place.settings)

    assert {name for name in files_in(store) if not name.endswith(".lock")} >= {
        name for name in before if not name.endswith(".lock")
    }
    assert len(records(place, "images", store)) == 2

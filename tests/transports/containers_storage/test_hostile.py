"""A store of unknown origin: what is in the place of its files blocks nothing, and leads nowhere else."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import pytest

from eci_convert.errors import EciError, FormatError
from eci_convert.operations.store.delete import delete
from eci_convert.operations.store.list import list_images
from eci_convert.operations.store.tag import tag
from eci_convert.transports import open_source
from eci_convert.transports.settings import Settings
from tests.support.images import an_image, copied, files_in
from tests.support.store_access import FIRST, SECOND, a_sink, layers_of


def in_place_of(path: Path, kind: str, outside: Path) -> None:
    """Puts what is no regular file in the place of *path*."""
    path.unlink(missing_ok=True)
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "link":
        path.symlink_to(outside)
    else:
        path.symlink_to("/dev/zero")


HOSTILE = [
    "overlay-images/images.json",
    "overlay-layers/layers.json",
    "overlay-images/images.lock",
    "overlay-layers/layers.lock",
    "overlay/{layer}/link",
    "overlay-images/{image}/manifest",
    "overlay-layers/{layer}.tar-split.gz",
]


@pytest.mark.parametrize("kind", ["pipe", "link", "device"])
@pytest.mark.parametrize("name", HOSTILE)
def test_a_pipe_or_a_link_in_the_place_of_a_file_blocks_nothing_and_nothing_outside_changes(
    tmp_path: Path, name: str, kind: str
) -> None:
    """A store of unknown origin."""
    store = tmp_path / "store"
    first = an_image().tar_layer(FIRST)
    copied(first.build(), a_sink(store, "x.io/one:1"))
    image, [layer] = first.manifest().config.digest.hex, layers_of(store)
    outside = tmp_path / "outside"
    outside.write_text("precious")
    in_place_of(store / name.format(image=image, layer=layer["id"]), kind, outside)
    place = f"containers-storage:[overlay@{store}]"

    for work in (
        lambda: list_images(place, Settings(timeout=1)),
        lambda: tag(f"{place}x.io/one:1", ["x.io/two:1"], Settings(timeout=1)),
        lambda: copied(an_image().tar_layer(FIRST).tar_layer(SECOND).build(), a_sink(store, "x.io/other:1")),
        lambda: copied(open_source(f"{place}x.io/one:1", Settings(timeout=1)), a_sink(tmp_path / "to", "x.io/one:1")),
        lambda: delete([f"{place}x.io/one:1"], Settings(timeout=1)),
    ):
        with contextlib.suppress(EciError):
            work()

    assert outside.read_text() == "precious"


def test_where_the_images_cannot_be_read_no_layer_is_added(tmp_path: Path) -> None:
    copied(an_image().tar_layer(FIRST).build(), a_sink(tmp_path, "x.io/one:1"))
    (tmp_path / "overlay-images/images.json").write_text("{")
    before = files_in(tmp_path / "overlay"), layers_of(tmp_path)

    with pytest.raises(FormatError, match=r"images\.json"):
        copied(an_image().tar_layer(SECOND).build(), a_sink(tmp_path, "x.io/other:1"))

    assert (files_in(tmp_path / "overlay"), layers_of(tmp_path)) == before


def test_the_layers_below_are_named_and_no_other_directories(tmp_path: Path) -> None:
    """overlayfs mounts what `lower` names."""
    copied(an_image().tar_layer(FIRST).build(), a_sink(tmp_path, "x.io/one:1"))
    [layer] = layers_of(tmp_path)
    (tmp_path / "overlay" / str(layer["id"]) / "link").write_text("../../../etc")

    with pytest.raises(FormatError, match="not names of layers"):
        copied(an_image().tar_layer(FIRST).tar_layer(SECOND).build(), a_sink(tmp_path, "x.io/other:1"))


@pytest.mark.parametrize("driver", ["overlay", "vfs"])
@pytest.mark.parametrize("kind", ["link", "file"])
def test_a_layer_that_is_no_directory_is_deleted_and_what_a_link_leads_to_stays(
    tmp_path: Path, driver: str, kind: str
) -> None:
    store, outside = tmp_path / "store", tmp_path / "outside"
    (outside / "below").mkdir(parents=True, mode=0o755)
    (outside / "precious").write_text("precious")
    copied(an_image().tar_layer(FIRST).build(), a_sink(store, "x.io/one:1", driver))
    [layer] = layers_of(store, driver)
    directory = store / ("overlay" if driver == "overlay" else "vfs/dir") / str(layer["id"])
    directory.rename(tmp_path / "moved")
    directory.symlink_to(outside) if kind == "link" else directory.write_text("x")
    modes = [(outside / name).stat().st_mode for name in (".", "below")]

    delete([f"containers-storage:[{driver}@{store}]x.io/one:1"], Settings(timeout=1))

    assert not directory.is_symlink()
    assert not directory.exists()
    assert layers_of(store, driver) == []
    assert (outside / "precious").read_text() == "precious"
    assert [(outside / name).stat().st_mode for name in (".", "below")] == modes


def test_an_image_s_directory_that_is_a_link_is_deleted_and_never_written_through(tmp_path: Path) -> None:
    store, outside = tmp_path / "store", tmp_path / "outside"
    outside.mkdir()
    image = an_image().tar_layer(FIRST)
    copied(image.build(), a_sink(store, "x.io/one:1"))
    directory = store / "overlay-images" / image.manifest().config.digest.hex
    directory.rename(tmp_path / "moved")
    directory.symlink_to(outside)

    with pytest.raises(FormatError, match="symbolic link"):
        copied(image.build(), a_sink(store, "x.io/two:1"))
    delete([f"containers-storage:[overlay@{store}]x.io/one:1"], Settings(timeout=1))

    assert list(outside.iterdir()) == []
    assert not directory.is_symlink()

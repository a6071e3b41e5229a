"""Which store is meant where the reference does not say: storage.conf and the environment, as podman reads them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from eci_convert.errors import FormatError, LocalError, NotFoundError, UsageError
from eci_convert.reading.images import load_image
from eci_convert.transports import open_sink, open_source
from eci_convert.transports.containers_storage.location import StoreLocation
from eci_convert.transports.settings import Settings
from tests.support.images import an_image, copied


def configuration(folder: Path, root: Path, more: Path | None = None, driver: str = "overlay") -> dict[str, str]:
    """An environment whose XDG_CONFIG_HOME, in *folder*, has a storage.conf."""
    path = folder / "xdg/containers/storage.conf"
    path.parent.mkdir(parents=True, exist_ok=True)
    text = f'[storage]\ndriver = "{driver}"\ngraphroot = "{root}"\n'
    if more:
        text += f'[storage.options]\nadditionalimagestores = ["{more}"]\n'
    path.write_text(text)
    return {"XDG_CONFIG_HOME": str(folder / "xdg"), "HOME": str(folder / "home")}


def place(environ: dict[str, str], text: str = "machine:1") -> StoreLocation:
    return StoreLocation.parse(text, Settings(environ=environ))


@pytest.mark.parametrize("user", [0, 1000])
def test_xdg_config_home_counts_whoever_asks(user: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: user)

    assert place(configuration(tmp_path, tmp_path / "s")).root == tmp_path / "s"


def test_the_home_directory_of_root_does_not_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    environ = configuration(tmp_path, tmp_path / "s")
    (tmp_path / "home").mkdir()
    (tmp_path / "xdg").rename(tmp_path / "home/.config")
    del environ["XDG_CONFIG_HOME"]

    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert place(environ).root == tmp_path / "s"
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert place(environ).root != tmp_path / "s"


@pytest.mark.parametrize(
    ("options", "stores"),
    [
        ("overlay.imagestore=/a", ["/a"]),
        ("imagestore=/a,overlay.mountopt=nodev,.imagestore=/b", ["/a", "/b"]),
        ("overlay.additionalimagestore=/a", ["/a"]),
        ("vfs.imagestore=/a", []),
        ("overlay.mountopt=nodev", []),
        ("", []),
    ],
)
def test_storage_opts_takes_the_place_of_all_options(options: str, stores: list[str], tmp_path: Path) -> None:
    environ = configuration(tmp_path, tmp_path / "s", tmp_path / "more")
    assert place(environ).more == (tmp_path / "more",)

    assert [str(path) for path in place(environ | {"STORAGE_OPTS": options}).more] == stores


def test_storage_opts_that_make_no_sense_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="STORAGE_OPTS"):
        place(configuration(tmp_path, tmp_path / "s") | {"STORAGE_OPTS": "bad"})


def test_a_store_that_the_reference_says_is_read_without_options(tmp_path: Path) -> None:
    environ = configuration(tmp_path, tmp_path / "s") | {"STORAGE_OPTS": "overlay.imagestore=/a"}

    assert place(environ, f"[overlay@{tmp_path}/other]machine:1").more == ()


def test_storage_driver_counts_more_than_storage_conf(tmp_path: Path) -> None:
    environ = configuration(tmp_path, tmp_path / "s")

    assert place(environ).driver == "overlay"
    assert place(environ | {"STORAGE_DRIVER": "vfs"}).driver == "vfs"


def test_a_storage_conf_that_is_named_and_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="CONTAINERS_STORAGE_CONF"):
        place({"CONTAINERS_STORAGE_CONF": str(tmp_path / "none"), "HOME": str(tmp_path)})


def test_a_storage_conf_that_is_too_long_is_an_error_and_not_read_in_part(tmp_path: Path) -> None:
    environ = configuration(tmp_path, tmp_path / "s")
    path = tmp_path / "xdg/containers/storage.conf"
    path.write_text(path.read_text() + "#\n" * 2**21)
    assert place(environ | {"CONTAINERS_STORAGE_CONF": "/dev/null"}).root != tmp_path / "s"

    with pytest.raises(LocalError, match=r"storage\.conf: larger than 4194304 bytes"):
        place(environ)


def test_a_storage_conf_that_nests_without_end_is_malformed(tmp_path: Path) -> None:
    environ = configuration(tmp_path, tmp_path / "s")
    (tmp_path / "xdg/containers/storage.conf").write_text("x = " + "[" * 100_000)

    with pytest.raises(FormatError, match=r"not a storage\.conf"):
        place(environ)


def test_an_image_of_a_store_that_storage_opts_names_is_read(tmp_path: Path) -> None:
    image = an_image().tar_layer({"kernel": b"kernel"})
    copied(image.build(), open_sink(f"containers-storage:[overlay@{tmp_path}/more]machine:1", Settings()))
    environ = configuration(tmp_path, tmp_path / "s") | {"STORAGE_OPTS": f"overlay.imagestore={tmp_path}/more"}

    with open_source("containers-storage:machine:1", Settings(environ=environ)) as source:
        assert load_image(source).config.diff_ids == image.diff_ids

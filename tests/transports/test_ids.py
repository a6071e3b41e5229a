"""Ids are one thing in every store: short ones, with or without sha256:, behind names that look like them."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from eci_convert.errors import NotFoundError, UnsupportedImageError, UsageError
from eci_convert.oci.digest import Digest
from eci_convert.reading.images import load_image
from eci_convert.transports import ids, open_sink, open_source
from eci_convert.transports.settings import Settings
from tests.support.fake_containerd import a_containerd
from tests.support.fake_docker import a_docker
from tests.support.images import ImageBuilder, an_image, copied

Spell = Callable[[str], str]


@pytest.fixture(params=["oci", "oci-archive", "docker-archive", "containers-storage", "docker-daemon", "containerd"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Spell, Settings]]:
    match request.param:
        case "docker-daemon":
            with tempfile.TemporaryDirectory() as folder, a_docker(Path(folder)) as docker:
                yield (lambda name: f"docker-daemon:{name}"), docker.settings()
        case "containerd":
            with a_containerd(tmp_path) as containerd:
                yield (lambda name: f"containerd:{name}"), containerd.settings
        case "containers-storage":
            yield (lambda name: f"containers-storage:[vfs@{tmp_path}/s]{name}"), Settings()
        case scheme:
            yield (lambda name: f"{scheme}:{tmp_path}/{scheme}:{name}"), Settings()


def an_image_of(text: bytes) -> ImageBuilder:
    return an_image().tar_layer({"kernel": text}, compression="none")


def id_of(image: ImageBuilder, reference: str) -> str:
    """What the store calls it: layouts know manifests, the others configs."""
    if reference.startswith(("oci", "containerd:")):
        return image.descriptor().digest.hex
    return Digest.of(image.config_blob()[0]).hex


def diff_ids(reference: str, settings: Settings) -> tuple[Digest, ...]:
    with open_source(reference, settings) as source:
        return load_image(source).config.diff_ids


def put(image: ImageBuilder, reference: str, settings: Settings) -> None:
    copied(image.build(), open_sink(reference, settings))


def test_an_image_is_found_by_its_id_however_much_of_it_is_given(place: tuple[Spell, Settings]) -> None:
    spell, settings = place
    image = an_image_of(b"kernel")
    put(image, spell("localhost/machine:1"), settings)
    identity = id_of(image, spell(""))

    for text in (identity, identity[:12], f"sha256:{identity}", f"sha256:{identity[:12]}", f"sha256:{identity[:2]}"):
        assert diff_ids(spell(text), settings) == image.diff_ids, text


def test_what_no_id_begins_with_is_not_there(place: tuple[Spell, Settings]) -> None:
    spell, settings = place
    image = an_image_of(b"kernel")
    put(image, spell("localhost/machine:1"), settings)
    other = "".join("f" if digit == "0" else "0" for digit in id_of(image, spell("")))

    for text in (other, other[:12], f"sha256:{other[:12]}"):
        with pytest.raises(NotFoundError):
            diff_ids(spell(text), settings)


def test_a_name_that_looks_like_an_id_comes_first(place: tuple[Spell, Settings]) -> None:
    spell, settings = place
    if "archive" in spell(""):
        pytest.skip("an archive holds one image")
    image, other = an_image_of(b"kernel"), an_image_of(b"other")
    identity = id_of(image, spell(""))
    put(image, spell("localhost/machine:1"), settings)
    put(other, spell(identity[:12]), settings)

    assert diff_ids(spell(identity[:12]), settings) == other.diff_ids
    assert diff_ids(spell(f"sha256:{identity[:12]}"), settings) == image.diff_ids


@pytest.mark.parametrize("text", ["sha256:0123", "sha256:" + 64 * "0", 64 * "0"])
def test_an_id_is_no_name_to_store_an_image_under(place: tuple[Spell, Settings], text: str) -> None:
    spell, settings = place

    with pytest.raises(UsageError, match=r"needs a name|not a name to store|does not record the digest|is an id"):
        put(an_image_of(b"kernel"), spell(text), settings)


@pytest.mark.parametrize("scheme", ["oci", "containers-storage"])
def test_digits_that_begin_several_ids_mean_none(scheme: str, tmp_path: Path) -> None:
    spell: Spell = lambda name: f"oci:{tmp_path}/l:{name}"  # noqa: E731
    if scheme == "containers-storage":
        spell = lambda name: f"containers-storage:[vfs@{tmp_path}/s]{name}"  # noqa: E731
    begun: dict[str, ImageBuilder] = {}
    for number in range(2000):
        image = an_image_of(b"%d" % number)
        start = id_of(image, spell(""))[:3]
        if start in begun:
            break
        begun[start] = image
    put(begun[start], spell("localhost/a:1"), Settings())
    put(image, spell("localhost/b:1"), Settings())

    with pytest.raises(UnsupportedImageError, match="is ambiguous"):
        diff_ids(spell(start), Settings())


def test_ids_and_their_digits_are_recognized() -> None:
    assert [ids.is_id(text) for text in ("sha256:ab", "ab" * 32, "ab" * 6, "sha256:xyz", "SHA256:AB")] == [
        True, True, False, False, False,
    ]  # fmt: skip
    assert [ids.digits(text) for text in ("abc", "ab", "sha256:a", "abcg", "ab" * 33)] == ["abc", "", "a", "", ""]

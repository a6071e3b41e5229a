"""What every Catalog does, whatever the place (transports/base.py): a class to be inherited from, once a transport.

A subclass says how a `Place` of its transport is had, and what that place cannot do.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from eci_convert.errors import CannotHoldError, EciError, NotFoundError, UsageError
from eci_convert.operations.store.delete import delete
from eci_convert.operations.store.list import ListedImage, list_images
from eci_convert.operations.store.tag import tag
from eci_convert.operations.verify import verify_image
from eci_convert.reading.images import load_image
from eci_convert.transports import open_sink, open_source
from eci_convert.transports.settings import Settings
from tests.support.images import ImageBuilder, a_tar, an_image, copied
from tests.support.reporters import Listening

_NO_NAME = "an image needs a name|not a name to store|has a digest|is not in the repository|is not a valid"
"""What is said of a digest that is to become a name."""
SHARED = a_tar({"shared": b"shared" * 100})


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A place to be filled: *reference* is of an image there, `{}` is where its name goes; *root* names all of it."""

    reference: str
    root: str
    settings: Settings = field(default_factory=Settings)
    shown: Callable[[str], str] = lambda name: name
    """What `list` shows for a name."""

    def at(self, name: str) -> str:
        return self.reference.format(name)

    def put(self, name: str, image: ImageBuilder) -> None:
        copied(image.build(), open_sink(self.at(name), self.settings))

    def names(self) -> list[str]:
        """The names that are listed, with their tags."""
        return [f"{image.name}:{image.tag}".removesuffix(":") for image in self.images()]

    def images(self) -> tuple[ListedImage, ...]:
        return list_images(self.root, self.settings)

    def expected(self, *names: str) -> list[str]:
        return sorted(map(self.shown, names))

    def check_whole(self, name: str) -> None:
        """The image is there, every byte of it."""
        with open_source(self.at(name), self.settings) as source:
            if source.filesystem() is not None:
                load_image(source)
                return
            report = verify_image(source)
            assert report.ok, report.problems

    def is_absent(self, name: str) -> bool:
        with open_source(self.at(name), self.settings) as source:
            try:
                source.resolve()
            except NotFoundError:
                return True
        return False


def image(own: bytes, *, platform: str = "linux/amd64") -> ImageBuilder:
    """An image with a layer of its own upon one that all have."""
    return an_image().platform(platform).tar_layer(SHARED).tar_layer({"own": own})


class CatalogContract:
    """The tests."""

    def opened(self, directory: Path) -> AbstractContextManager[Place]:
        raise NotImplementedError

    @pytest.fixture
    def place(self, tmp_path: Path) -> Iterator[Place]:
        with self.opened(tmp_path) as place:
            yield place

    def test_it_lists_every_name_sorted_with_platform_and_size(self, place: Place) -> None:
        for name in ("m:2", "a:1", "m:1"):
            place.put(name, image(name.encode()))

        assert place.names() == place.expected("m:2", "a:1", "m:1")
        for listed in place.images():
            assert [str(platform) for platform in listed.platforms] == ["linux/amd64"]
            assert listed.size is not None
            assert listed.size > 0
            assert listed.digest is not None

    def test_a_listed_id_names_its_image(self, place: Place) -> None:
        place.put("m:1", image(b"1"))
        place.put("m:2", image(b"2"))
        if place.root.startswith("docker://"):
            pytest.skip("a registry knows whole digests and tags alone")

        for listed in place.images():
            assert listed.digest is not None
            for text in (listed.digest.hex[:12], f"sha256:{listed.digest.hex}"):
                with open_source(place.at(text), place.settings) as source:
                    load_image(source)

    def test_one_more_name_stands_for_the_same_image(self, place: Place) -> None:
        place.put("m:1", image(b"1"))
        [before] = place.images()

        digest = tag(place.at("m:1"), [place.at("m:2"), place.at("m:3")], place.settings)

        assert digest == before.digest
        assert place.names() == place.expected("m:1", "m:2", "m:3")
        assert {listed.digest for listed in place.images()} == {digest}
        place.check_whole("m:3")

    def test_a_name_that_is_given_away_stands_for_the_new_image(self, place: Place) -> None:
        place.put("m:1", image(b"1"))
        place.put("m:2", image(b"2"))

        digest = tag(place.at("m:1"), [place.at("m:2")], place.settings)

        named = {f"{listed.name}:{listed.tag}": listed.digest for listed in place.images() if listed.tag}
        assert named == dict.fromkeys(place.expected("m:1", "m:2"), digest)
        place.check_whole("m:2")

    def test_of_two_images_with_a_common_layer_one_is_deleted_and_the_other_is_whole(self, place: Place) -> None:
        place.put("m:1", image(b"1"))
        place.put("m:2", image(b"2"))

        removed = delete([place.at("m:1")], place.settings)

        assert [entry.name for _, entry in removed] == place.expected("m:1")
        assert place.names() == place.expected("m:2")
        assert place.is_absent("m:1")
        place.check_whole("m:2")

    def test_one_of_two_names_is_deleted_and_the_image_stays(self, place: Place) -> None:
        place.put("m:1", image(b"1"))
        tag(place.at("m:1"), [place.at("m:2")], place.settings)

        delete([place.at("m:1")], place.settings)

        assert place.names() == place.expected("m:2")
        place.check_whole("m:2")

    def test_what_is_not_there_is_an_error_and_nothing_goes(self, place: Place) -> None:
        place.put("m:1", image(b"1"))

        for work in (
            lambda: delete([place.at("m:1"), place.at("m:7")], place.settings),
            lambda: tag(place.at("m:7"), [place.at("m:8")], place.settings),
        ):
            with pytest.raises(NotFoundError):
                work()

        assert place.names() == place.expected("m:1")
        place.check_whole("m:1")

    def test_an_id_that_several_names_share_needs_all_tags(self, place: Place) -> None:
        place.put("m:1", image(b"1"))
        place.put("m:4", image(b"4"))
        digest = tag(place.at("m:1"), [place.at("m:2")], place.settings)
        by_id = (
            place.at(str(digest)).replace(":sha256:", "@sha256:")
            if "docker://" in place.root
            else place.at(str(digest))
        )

        with pytest.raises(UsageError, match="several names"):
            delete([by_id], place.settings)
        assert place.names() == place.expected("m:1", "m:2", "m:4")
        delete([by_id], place.settings, all_tags=True)

        assert place.names() == place.expected("m:4")
        place.check_whole("m:4")

    def test_the_last_image_leaves_an_empty_place(self, place: Place) -> None:
        place.put("m:1", image(b"1"))

        delete([place.at("m:1")], place.settings)

        try:
            assert place.names() == []
        except NotFoundError:
            assert place.root.startswith("docker://")  # a repository is there as long as there is something in it
        assert place.is_absent("m:1")

    def test_a_deleted_image_can_come_back(self, place: Place) -> None:
        place.put("m:1", image(b"1"))
        delete([place.at("m:1")], place.settings)

        place.put("m:1", image(b"1"))

        assert place.names() == place.expected("m:1")
        place.check_whole("m:1")

    def test_a_dry_run_says_what_would_happen_and_changes_nothing(self, place: Place) -> None:
        place.put("m:1", image(b"1"))
        dry = replace(place.settings, dry_run=True)

        digest = tag(place.at("m:1"), ["m:2" if "docker://" not in place.root else "2"], dry)
        removed = delete([place.at("m:1")], dry)

        assert [(entry.name, entry.digest) for _, entry in removed] == [(place.shown("m:1"), digest)]
        with pytest.raises(NotFoundError):
            delete([place.at("m:7")], dry)
        assert place.names() == place.expected("m:1")
        place.check_whole("m:1")

    def test_a_place_is_listed_and_no_image(self, place: Place) -> None:
        place.put("m:1", image(b"1"))

        with pytest.raises(UsageError, match="names an image"):
            list_images(place.at("m:1"), place.settings)

    def test_a_name_that_is_none_changes_nothing(self, place: Place) -> None:
        place.put("m:1", image(b"1"))

        valid = "9" if "docker://" in place.root else "m:9"
        for name, says in (("sha256:" + 64 * "0", _NO_NAME), (" ", "is not a valid")):
            with pytest.raises(UsageError, match=says):
                tag(place.at("m:1"), [valid, name], place.settings)

        assert place.names() == place.expected("m:1")


class ReadOnlyContract:
    """The tests of a place that is written once: *write* makes it of images."""

    def write(self, directory: Path, images: dict[str, ImageBuilder]) -> str:
        raise NotImplementedError

    def test_it_lists_its_images(self, tmp_path: Path) -> None:
        root = self.write(tmp_path, {"m:1": image(b"1")})

        [listed] = list_images(root)

        assert f"{listed.name}:{listed.tag}".endswith("m:1")
        assert list(map(str, listed.platforms)) == ["linux/amd64"]

    def test_it_does_not_change(self, tmp_path: Path) -> None:
        root = self.write(tmp_path, {"m:1": image(b"1")})
        before = {path: path.read_bytes() for path in tmp_path.iterdir()}

        for work in (lambda: tag(f"{root}:m:1", ["m:2"]), lambda: delete([f"{root}:m:1"])):
            with pytest.raises(CannotHoldError, match="written once"):
                work()

        assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before

    def test_one_that_is_not_there_is_not_made(self, tmp_path: Path) -> None:
        root = self.write(tmp_path, {"m:1": image(b"1")}).replace(str(tmp_path), str(tmp_path / "none"))

        with pytest.raises(EciError, match="no such file"):
            list_images(root)

        assert not (tmp_path / "none").exists()


def warned(settings: Settings) -> list[str]:
    """What the reporter of *settings* was warned of."""
    assert isinstance(settings.reporter, Listening)
    return settings.reporter.warnings


__all__ = ["CatalogContract", "Place", "ReadOnlyContract", "image", "warned"]

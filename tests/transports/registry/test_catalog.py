"""The catalog contract over registries, of which some delete no tags; lists of several pages; repositories."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.request import urlopen

import pytest

from eci_convert import testing as faults
from eci_convert.errors import CannotHoldError, LimitExceededError, NotFoundError, UsageError
from eci_convert.operations.store.delete import delete
from eci_convert.operations.store.list import list_images
from eci_convert.operations.store.tag import tag
from eci_convert.testing import FaultyRegistry
from eci_convert.transports.registry import catalog
from eci_convert.transports.registry.catalog import RegistryCatalog, RepositoriesCatalog, open_catalog
from eci_convert.transports.settings import Settings
from tests.support.contract.catalogs import CatalogContract, Place, image
from tests.support.fake_registry.server import a_registry


class RegistryPlace(Place):
    """Names are tags, in which there are no colons."""

    def at(self, name: str) -> str:
        if name.startswith("sha256:"):
            return self.reference.format("").rstrip(":") + f"@{name}"
        return self.reference.format(name.replace(":", "-"))


class TestRegistry(CatalogContract):
    page = 1000

    @contextmanager
    def opened(self, directory: Path) -> Iterator[Place]:
        with a_registry() as registry:
            registry.page = self.page
            root = f"docker://{registry.host}/acme/machines"
            yield RegistryPlace(
                reference=root + ":{}",
                root=root,
                settings=Settings(concurrency=2),
                shown=lambda name: f"{root.removeprefix('docker://')}:{name.replace(':', '-')}",
            )


class TestListsOfSeveralPages(TestRegistry):
    page = 1


@pytest.fixture
def registry() -> Iterator[FaultyRegistry]:
    with a_registry() as registry:
        yield registry


def place_in(registry: FaultyRegistry) -> Place:
    root = f"docker://{registry.host}/acme/machines"
    return Place(reference=root + ":{}", root=root)


def test_the_list_of_tags_names_its_repository(registry: FaultyRegistry) -> None:
    """distribution-spec v1.1.1, "Listing Tags": clients may require it."""
    place = place_in(registry)
    place.put("1", image(b"1"))

    with urlopen(f"http://{registry.host}/v2/acme/machines/tags/list") as response:
        listed = json.load(response)

    assert listed == {"name": "acme/machines", "tags": ["1"]}


def test_where_tags_are_not_deleted_the_manifest_is_and_no_other_tag_goes_unasked(registry: FaultyRegistry) -> None:
    """docker-registry 2.8 deletes by digest alone."""
    registry.deletes = frozenset({"digests"})
    place = place_in(registry)
    place.put("1", image(b"1"))
    place.put("3", image(b"3"))
    tag(place.at("1"), ["2"])

    with pytest.raises(UsageError, match="several names: '1', '2'") as caught:
        delete([place.at("1")])
    assert caught.value.__notes__ == ["hint: the registry deletes an image with all its tags alone: add --all-tags"]
    assert len(place.names()) == 3
    delete([place.at("3")])
    delete([place.at("1")], all_tags=True)

    assert not registry.manifests


def test_a_missing_tag_gets_the_nearest(registry: FaultyRegistry) -> None:
    place = place_in(registry)
    place.put("1.2", image(b"1"))
    for operation in (lambda: delete([place.at("1.3")]), lambda: tag(place.at("1.3"), ["new"])):
        with pytest.raises(NotFoundError) as caught:
            operation()
        assert caught.value.hint == "the repository has tags such as '1.2'"


def test_a_registry_that_deletes_nothing_is_said(registry: FaultyRegistry) -> None:
    registry.deletes = frozenset()
    place = place_in(registry)
    place.put("1", image(b"1"))

    with pytest.raises(CannotHoldError, match="does not delete"):
        delete([place.at("1")])

    place.check_whole("1")


def test_a_tag_of_another_repository_is_no_name_here(registry: FaultyRegistry) -> None:
    place = place_in(registry)
    place.put("1", image(b"1"))

    for name in (f"docker://{registry.host}/acme/others:1", f"{registry.host}/acme/others:1"):
        with pytest.raises(UsageError, match=r"another place|not in the repository"):
            tag(place.at("1"), [name])

    assert len(place.names()) == 1


def test_a_host_alone_lists_its_repositories(registry: FaultyRegistry) -> None:
    registry.page = 1
    for name in ("b/two", "a/one"):
        Place(reference=f"docker://{registry.host}/{name}:{{}}", root="").put("1", image(b"1"))

    listed = list_images(f"docker://{registry.host}")

    assert [image.name for image in listed] == [f"{registry.host}/a/one", f"{registry.host}/b/two"]


@pytest.mark.parametrize("place", ["", "/acme/machines"], ids=["repositories", "tags"])
def test_a_list_whose_pages_do_not_end_is_refused(
    registry: FaultyRegistry, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each page is within the limit of a document, and so is the number of names."""
    monkeypatch.setattr(catalog, "_MAX_LIST", 2_000_000)
    path = f"/v2{place}/tags/list" if place else "/v2/_catalog"
    names = json.dumps({"repositories": ["a" * 500_000], "tags": ["a" * 500_000]}).encode()
    registry.misbehave("GET", path, faults.status(200, names, Link=f'<{path}>; rel="next"'), times=99)

    with pytest.raises(LimitExceededError, match="longer than 2000000 bytes"):
        list_images(f"docker://{registry.host}{place}")

    assert len(registry.seen(path)) < 5


def test_a_registry_that_keeps_its_repositories_to_itself_is_said(registry: FaultyRegistry) -> None:
    registry.lists_repositories = False

    with pytest.raises(CannotHoldError, match="does not list"):
        list_images(f"docker://{registry.host}")


@pytest.mark.parametrize("text", ["registry.example", "localhost:5000", "[::1]:5000", "localhost", "r.example/"])
def test_a_host_alone_is_a_registry(text: str) -> None:
    assert isinstance(open_catalog(text, Settings()), RepositoriesCatalog)


@pytest.mark.parametrize(
    ("text", "name"),
    [("ubuntu", ""), ("ubuntu:22.04", "22.04"), ("r.example/a", ""), ("r.example:5000/a:1", "1"),
     ("localhost/a@sha256:" + 64 * "0", "@sha256:" + 64 * "0")],
)  # fmt: skip
def test_anything_else_is_a_repository(text: str, name: str) -> None:
    opened = open_catalog(text, Settings())

    assert isinstance(opened, RegistryCatalog)
    assert opened.name == name

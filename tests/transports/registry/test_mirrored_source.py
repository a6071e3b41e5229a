"""Mirrors: who is asked, in which order, who is told what, and what becomes of those that fail."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from eci_convert.errors import AccessDeniedError, DigestMismatchError, NotFoundError, TransportError
from eci_convert.oci.descriptor import Descriptor
from eci_convert.oci.digest import Digest
from eci_convert.operations.copy import copy
from eci_convert.reading.blobs import open_blob
from eci_convert.reading.images import load_image
from eci_convert.testing import Change, FaultyRegistry, cut, spoiled, status
from tests.support.home_directory import PASSWORD, User, noise

BIG = noise(5 << 20)
SMALL = b"a small part"


@pytest.fixture
def image(user: User, registry: FaultyRegistry, other: FaultyRegistry, tmp_path: Path) -> Descriptor:
    """The same image in *registry* and in its mirror *other*, below cache/."""
    (tmp_path / "registries.conf").write_text(
        f'[[registry]]\nlocation = "{registry.host}"\n[[registry.mirror]]\nlocation = "{other.host}/cache"\n'
    )
    sent = user.pushes(registry, [SMALL, BIG])
    assert user.pushes(other, [SMALL, BIG], "cache/machine:1") == sent
    registry.requests.clear()
    other.requests.clear()
    user.environ["CONTAINERS_REGISTRIES_CONF"] = str(tmp_path / "registries.conf")
    return sent


def pull(user: User, registry: FaultyRegistry, name: str = "machine:1", **flags: object) -> list[bytes]:
    with user.source(registry, name, mirrors=True, **flags) as source:
        parts = []
        for layer in load_image(source).manifest.layers:
            with open_blob(source, layer) as chunks:
                parts.append(b"".join(chunks))
        return parts


def test_the_mirror_is_asked_and_nobody_else(
    user: User, registry: FaultyRegistry, other: FaultyRegistry, image: Descriptor
) -> None:
    assert pull(user, registry) == [SMALL, BIG]
    assert not registry.requests
    assert other.seen("/v2/cache/machine/manifests/1")
    with user.source(registry, f"machine@{image.digest}", mirrors=True) as source:
        assert source.resolve().digest == image.digest
        assert source.origin == f"docker://{registry.host}/machine@{image.digest}"


def test_what_is_read_to_be_changed_is_read_where_it_is_written(
    user: User, registry: FaultyRegistry, other: FaultyRegistry, image: Descriptor
) -> None:
    assert user.resolves(registry).digest == image.digest
    user.pushes(registry, [b"another"])
    assert not other.requests


def test_a_tag_that_nobody_has_gets_the_nearest_of_its_own_registry(
    user: User, registry: FaultyRegistry, image: Descriptor
) -> None:
    with user.source(registry, "machine:2", mirrors=True) as source:
        with pytest.raises(NotFoundError):
            source.resolve()
        assert source.traits.nearest_names() == ("1",)


FAULTS = {
    "404": status(404),
    "500": status(500),
    "403": status(403),
    "401": status(401),
    "spoiled": spoiled,
    "cut": cut(0),
    "page": status(200, b"<html>", Content_Type="text/html"),
}


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
@pytest.mark.parametrize("what", ["/manifests/", "/blobs/"])
def test_a_mirror_that_fails_is_passed_over(
    fault: Change, what: str, user: User, registry: FaultyRegistry, other: FaultyRegistry, image: Descriptor
) -> None:
    blob = Digest.of(SMALL).hex if what == "/blobs/" else ""
    other.misbehave("GET", what + (f".*{blob}" if blob else ""), fault, times=1000)
    assert pull(user, registry)[0] == SMALL
    assert registry.requests


def test_a_big_blob_that_breaks_off_goes_on_elsewhere(
    user: User, registry: FaultyRegistry, other: FaultyRegistry, image: Descriptor
) -> None:
    other.misbehave("GET", Digest.of(BIG).hex, cut(3 << 20))
    other.misbehave("GET", Digest.of(BIG).hex, status(404), times=1000)
    assert pull(user, registry, concurrency=1)[1] == BIG
    [asked] = registry.seen(Digest.of(BIG).hex)
    assert asked.header("Range").startswith("bytes=")


def test_a_big_blob_that_a_mirror_spoils_is_refused_and_the_mirror_named(
    user: User, registry: FaultyRegistry, other: FaultyRegistry, image: Descriptor
) -> None:
    other.misbehave("GET", Digest.of(BIG).hex, spoiled, times=1000)
    with pytest.raises(DigestMismatchError) as caught:
        pull(user, registry, timeout=60)
    assert any(f"the mirror docker://{other.host}/cache/machine:1" in note for note in caught.value.__notes__)


def test_a_digest_is_what_a_mirror_gives_or_the_next_is_asked(
    user: User, registry: FaultyRegistry, other: FaultyRegistry, image: Descriptor
) -> None:
    key = ("cache/machine", str(image.digest))
    other.manifests[key] = (other.manifests[key][0], other.manifests[key][1].replace(b"2", b"3", 1))
    assert pull(user, registry, f"machine@{image.digest}") == [SMALL, BIG]
    assert registry.seen("/manifests/")


def test_a_mirror_that_is_gone_is_passed_over_at_once(
    user: User, registry: FaultyRegistry, other: FaultyRegistry, image: Descriptor
) -> None:
    other.stop()
    assert pull(user, registry) == [SMALL, BIG]


def test_where_all_fail_the_last_error_counts_and_the_others_are_told(
    user: User, registry: FaultyRegistry, other: FaultyRegistry, image: Descriptor
) -> None:
    with user.source(registry, "machine:2", mirrors=True) as source, pytest.raises(NotFoundError) as caught:
        source.resolve()
    assert registry.host in str(caught.value)
    assert any(other.host in note for note in caught.value.__notes__)


def test_no_mirror_is_told_what_is_for_another(
    user: User, registry: FaultyRegistry, other: FaultyRegistry, image: Descriptor
) -> None:
    """Neither the registry's stored login nor the one of the command line."""
    user.logs_in(registry.host)
    registry.users, other.users = {"me": PASSWORD}, {"someone": "else"}
    assert pull(user, registry) == [SMALL, BIG]
    assert pull(user, registry, username="me", password=PASSWORD) == [SMALL, BIG]
    assert not other.secrets_seen()
    user.logs_in(other.host, "someone", "else")
    registry.requests.clear()
    assert pull(user, registry) == [SMALL, BIG]
    assert not registry.requests
    assert set(other.secrets_seen()) == {"someone:else"}


def test_a_sink_in_the_registry_itself_mounts_what_a_mirror_gave(
    user: User, registry: FaultyRegistry, other: FaultyRegistry, image: Descriptor
) -> None:
    registry.apart = True
    with user.source(registry, mirrors=True) as source, user.sink(registry, "copied:1") as sink:
        copy(source, sink)
    assert [seen.method for seen in registry.seen("/blobs/uploads/")] == ["POST"] * 3, "each is mounted, none sent"


def test_a_blocked_registry_is_asked_nothing(
    user: User, registry: FaultyRegistry, image: Descriptor, tmp_path: Path
) -> None:
    conf = tmp_path / "registries.conf"
    conf.write_text(f'[[registry]]\nlocation = "{registry.host}"\nblocked = true\n')
    ways: list[Callable[[], object]] = [
        lambda: pull(user, registry), lambda: user.resolves(registry), lambda: user.pushes(registry, [b"x"]),
    ]  # fmt: skip
    for way in ways:
        with pytest.raises(AccessDeniedError, match=r"registries\.conf:3"):
            way()
    assert not registry.requests


def test_a_blocked_mirror_is_passed_over(
    user: User, registry: FaultyRegistry, other: FaultyRegistry, image: Descriptor, tmp_path: Path
) -> None:
    conf = tmp_path / "registries.conf"
    conf.write_text(conf.read_text() + f'[[registry]]\nlocation = "{other.host}"\nblocked = true\n')
    assert pull(user, registry) == [SMALL, BIG]
    assert not other.requests


def test_another_location_stands_in_for_a_registry(
    user: User, other: FaultyRegistry, image: Descriptor, tmp_path: Path
) -> None:
    (tmp_path / "registries.conf").write_text(
        f'[[registry]]\nprefix = "registry.invalid/team"\nlocation = "{other.host}/cache"\n'
    )
    with_prefix = type("Named", (), {"host": "registry.invalid/team"})()
    assert pull(user, with_prefix) == [SMALL, BIG]
    with pytest.raises(TransportError, match=r"registry\.invalid"):
        user.resolves(with_prefix)

"""What the user's earlier runs saw in other repositories of a registry is mounted and not sent; whatever the registry
makes of that, the image arrives."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from eci_convert import testing as faults
from eci_convert.errors import DigestMismatchError, NotFoundError, TransportError
from eci_convert.oci import media_types
from eci_convert.oci.descriptor import Descriptor
from eci_convert.oci.digest import Digest
from eci_convert.oci.manifest import Manifest, to_json
from eci_convert.oci.reference import Reference
from eci_convert.operations import copy
from eci_convert.operations.verify import repair
from eci_convert.options import TransferOptions
from eci_convert.reading.images import load_image
from eci_convert.testing import FaultyRegistry
from eci_convert.transports import open_source
from eci_convert.transports.registry import upload_plan
from eci_convert.transports.registry.client import RegistryClient
from eci_convert.transports.registry.mount_hints import MountHint
from tests.support.fake_registry.server import a_registry
from tests.support.home_directory import TYPE, User, noise

DATA = noise(200_000)
BLOB = Descriptor(media_type=TYPE, digest=Digest.of(DATA), size=len(DATA))
CONFIG = Descriptor.of(b"{}", media_types.OCI_CONFIG)
SESSIONS = "/blobs/uploads/"


@pytest.fixture
def registry() -> Iterator[FaultyRegistry]:
    with a_registry() as running:
        running.apart = True
        yield running


def sends(user: User, registry: FaultyRegistry, name: str, **flags: Any) -> list[str]:
    """What a run that copies an image of BLOB and CONFIG to *name* asks about BLOB, without the queries."""
    registry.requests.clear()
    with user.sink(registry, f"{name}:1", **flags) as sink:
        for blob, content in ((BLOB, DATA), (CONFIG, b"{}")):
            if not sink.has(blob):
                sink.put(blob.media_type, [content], digest=blob.digest, size=blob.size)
        manifest = to_json(Manifest(config=CONFIG, layers=(BLOB,)))
        sink.publish(sink.put(media_types.OCI_MANIFEST, [manifest]))
    assert registry.blobs[str(BLOB.digest)] == DATA
    return froms(registry)


def froms(registry: FaultyRegistry) -> list[str]:
    """The repositories from which BLOB was to be mounted, in the order in which that was asked."""
    asked = (seen.path for seen in registry.seen(f"mount={BLOB.digest.algorithm}%3A{BLOB.digest.hex}", "POST"))
    return [found[1] for path in asked if (found := re.search("from=([^&]*)", path))]


def methods(registry: FaultyRegistry) -> list[str]:
    return [seen.method for seen in registry.seen(SESSIONS)]


def is_sent(registry: FaultyRegistry) -> bool:
    return any(DATA in seen.body for seen in registry.requests)


def state(user: User, name: str = "blobs") -> list[Path]:
    return sorted((user.home / f".local/state/eci-convert/{name}").glob("*"))


# In good weather


def test_what_was_sent_to_one_repository_is_mounted_into_the_next(registry: FaultyRegistry, user: User) -> None:
    assert sends(user, registry, "a") == []
    assert sends(user, registry, "b") == ["a"]
    assert methods(registry) == ["POST", "POST"]  # the config too
    assert sends(user, registry, "b") == []
    assert methods(registry) == []


def test_what_was_pulled_is_mounted(registry: FaultyRegistry, user: User) -> None:
    registry.places.add(("elsewhere/machine", registry.hold(DATA)))
    user.pulls(registry, str(BLOB.digest), BLOB.size, name="elsewhere/machine:1")
    assert sends(user, registry, "b") == ["elsewhere%2Fmachine"]
    assert not is_sent(registry)


def test_what_was_found_is_mounted(registry: FaultyRegistry, user: User) -> None:
    registry.places.add(("a", registry.hold(DATA)))
    sends(user, registry, "a")
    assert sends(user, registry, "b") == ["a"]


def test_what_was_pulled_and_is_spoiled_is_not_remembered(registry: FaultyRegistry, user: User) -> None:
    registry.places.add(("a", registry.hold(DATA)))
    registry.misbehave("GET", "/blobs/", faults.spoiled)
    with pytest.raises(DigestMismatchError):
        user.pulls(registry, str(BLOB.digest), BLOB.size, name="a:1")
    assert not state(user)


def test_the_latest_places_are_asked_first_and_few_are_kept(registry: FaultyRegistry, user: User) -> None:
    for name in "abcde":
        registry.places |= {(name, registry.hold(DATA)), (name, registry.hold(b"{}"))}
        sends(user, registry, name)
    registry.places.clear()
    assert sends(user, registry, "f") == ["e", "d", "c"]


def test_a_put_that_was_not_asked_about_mounts_too(registry: FaultyRegistry, user: User) -> None:
    sends(user, registry, "a")
    registry.requests.clear()
    with user.sink(registry, "b:1") as sink:
        sink.put(TYPE, [DATA], digest=BLOB.digest, size=BLOB.size)
    assert froms(registry) == ["a"]
    assert not is_sent(registry)


def test_a_rehearsal_mounts_nothing_and_writes_nothing_down(registry: FaultyRegistry, user: User) -> None:
    sends(user, registry, "a")
    before = [path.read_bytes() for path in state(user)]
    registry.requests.clear()
    with user.sink(registry, "b:1", dry_run=True) as sink:
        assert sink.has(BLOB)
        assert not sink.has(Descriptor(media_type=TYPE, digest=Digest.of(b"other"), size=5))
    assert {seen.method for seen in registry.requests if seen.path != "/v2/"} == {"HEAD"}
    assert [path.read_bytes() for path in state(user)] == before


# A registry that does not


def test_the_upload_that_is_begun_instead_is_the_one_that_is_used(registry: FaultyRegistry, user: User) -> None:
    sends(user, registry, "a")
    registry.mounts = False
    assert sends(user, registry, "b") == ["a"]
    assert methods(registry) == ["POST", "PUT"] * 2
    assert is_sent(registry)
    assert registry.uploads == {}


def test_a_mount_that_is_refused_becomes_an_upload_in_chunks(
    registry: FaultyRegistry, user: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("CHUNK", "SHARED"):
        monkeypatch.setattr(upload_plan, name, 64 * 1024)
    sends(user, registry, "a")
    registry.mounts, registry.min_chunk = False, 70_000
    sends(user, registry, "b")
    assert methods(registry)[:4] == ["POST", "PATCH", "PATCH", "PATCH"]
    assert len(registry.seen(SESSIONS, "PATCH")[0].body) >= 70_000
    assert len(registry.seen(SESSIONS, "POST")) == 2  # the config's is the other


def test_an_upload_that_has_gone_when_it_is_used_is_begun_again(registry: FaultyRegistry, user: User) -> None:
    sends(user, registry, "a")
    registry.mounts = False
    registry.misbehave("PUT", SESSIONS, faults.refusal(404, "BLOB_UPLOAD_UNKNOWN", "no such session"))
    assert sends(user, registry, "b") == ["a"]
    assert is_sent(registry)


def test_a_blob_that_is_there_no_more_is_sent_and_not_asked_for_again(registry: FaultyRegistry, user: User) -> None:
    sends(user, registry, "a")
    registry.places.clear()
    assert sends(user, registry, "b") == ["a"]
    registry.places.clear()
    assert sends(user, registry, "c") == ["b"]


def test_a_host_that_never_mounts_what_it_has_is_asked_twice(registry: FaultyRegistry, user: User) -> None:
    registry.mounts = False
    sends(user, registry, "a")
    sends(user, registry, "b")
    registry.mounts = True
    assert sends(user, registry, "c") == []
    assert is_sent(registry)


@pytest.mark.parametrize("code", [400, 401, 403, 404, 405, 409, 500, 501])
def test_a_refusal_is_no_reason_to_give_up(registry: FaultyRegistry, user: User, code: int) -> None:
    sends(user, registry, "a")
    registry.misbehave("POST", "mount=", faults.unheard(faults.status(code)), times=99)
    assert sends(user, registry, "b")[0] == "a"
    assert is_sent(registry)


@pytest.mark.parametrize("code", [401, 403])
def test_a_place_that_turns_us_away_is_forgotten(registry: FaultyRegistry, user: User, code: int) -> None:
    sends(user, registry, "a")
    registry.misbehave("POST", "from=a", faults.unheard(faults.status(code)), times=99)
    sends(user, registry, "b")
    assert sends(user, registry, "c") == ["b"]
    registry.places -= {("b", str(BLOB.digest)), ("c", str(BLOB.digest))}
    assert sends(user, registry, "d") == ["c", "b"]


def test_a_place_that_cannot_answer_now_is_not_forgotten(registry: FaultyRegistry, user: User) -> None:
    sends(user, registry, "a")
    registry.misbehave("POST", "mount=", faults.unheard(faults.status(503)), times=4)
    sends(user, registry, "b")
    registry.places.discard(("b", str(BLOB.digest)))
    assert sends(user, registry, "c") == ["b", "a"]


def test_a_place_is_not_forgotten_by_who_may_not_write_at_all(registry: FaultyRegistry, user: User) -> None:
    sends(user, registry, "a")
    registry.misbehave("POST", SESSIONS, faults.unheard(faults.status(403)), times=2)
    with pytest.raises(TransportError, match="unauthorized"):
        sends(user, registry, "b")
    assert sends(user, registry, "b") == ["a"]


@pytest.mark.parametrize(
    "change",
    [
        faults.header("Docker-Content-Digest", str(Digest.of(b"other"))),
        faults.header("Location", f"/v2/b/blobs/{Digest.of(b'other')}"),
        faults.header("Location", "/v2/b/blobs/uploads/1"),
    ],
)
def test_a_receipt_for_something_else_is_none(registry: FaultyRegistry, user: User, change: faults.Change) -> None:
    sends(user, registry, "a")
    registry.misbehave("POST", "mount=.*from=a", faults.unheard(lambda _: change(faults.Reply.of(201))))
    sends(user, registry, "b")
    assert is_sent(registry)


def test_a_receipt_that_names_nothing_is_one(registry: FaultyRegistry, user: User) -> None:
    sends(user, registry, "a")
    registry.misbehave("POST", "mount=", faults.header("Location", None))
    sends(user, registry, "b")
    assert not is_sent(registry)


def test_what_was_mounted_and_is_missing_is_sent_by_the_next_run(registry: FaultyRegistry, user: User) -> None:
    sends(user, registry, "a")
    registry.misbehave("PUT", "/manifests/", faults.refusal(404, "MANIFEST_BLOB_UNKNOWN", "blob unknown"))
    with pytest.raises(TransportError, match="MANIFEST_BLOB_UNKNOWN"):
        sends(user, registry, "b")
    registry.places.clear()
    assert sends(user, registry, "b") == []
    assert is_sent(registry)


def test_a_run_that_failed_calls_nothing_off(registry: FaultyRegistry, user: User) -> None:
    """It may have failed because the registry cannot be reached."""
    sends(user, registry, "a")
    registry.mounts = False
    sink = user.sink(registry, "b:1")
    assert not sink.has(BLOB)
    sink.__exit__(TransportError, TransportError(), None)
    assert not registry.seen(SESSIONS, "DELETE")


# Who may read where


def guarded(registry: FaultyRegistry, user: User) -> None:
    registry.users, registry.bearer, registry.url = {"me": "p4ssw0rd"}, True, f"http://{registry.host}"
    user.logs_in(registry.host)


def test_the_right_to_read_there_is_asked_for_at_once(registry: FaultyRegistry, user: User) -> None:
    sends(user, registry, "a")
    guarded(registry, user)
    sends(user, registry, "b")
    scopes = [re.findall("scope=([^&]*)", seen.path) for seen in registry.seen("/token")]
    assert scopes == [["repository%3Ab%3Apull%2Cpush"], ["repository%3Ab%3Apull%2Cpush", "repository%3Aa%3Apull"]]
    assert not is_sent(registry)
    assert all(seen.header("Authorization") for seen in registry.seen(SESSIONS, "POST"))


@pytest.mark.parametrize("code", [400, 401, 403, 404, 503])
def test_a_token_server_that_denies_it_breaks_nothing(registry: FaultyRegistry, user: User, code: int) -> None:
    sends(user, registry, "a")
    guarded(registry, user)
    registry.misbehave("GET", "/token.*repository%3Aa%3Apull", faults.status(code), times=99)
    sends(user, registry, "b")
    assert is_sent(registry)


def test_a_token_for_less_than_was_asked_breaks_nothing(registry: FaultyRegistry, user: User) -> None:
    sends(user, registry, "a")
    guarded(registry, user)
    challenge = f'Bearer realm="{registry.url}/token",scope="repository:b:pull,push repository:a:pull"'
    registry.misbehave("POST", "from=a", faults.unheard(faults.status(401, WWW_Authenticate=challenge)), times=99)
    sends(user, registry, "b")
    assert is_sent(registry)
    assert sends(user, registry, "c") == ["b"]


def test_no_other_host_is_told(registry: FaultyRegistry, other: FaultyRegistry, user: User) -> None:
    sends(user, registry, "secret/project")
    assert sends(user, other, "b") == []
    assert not [seen for seen in other.requests if "secret" in seen.path]
    assert len(state(user)) == 2


def test_what_was_told_over_tls_is_not_told_in_the_clear(user: User) -> None:
    reference = Reference.parse("registry.example/secret/project:1")
    secure, plain = (
        RegistryClient(reference, user.settings()),
        RegistryClient(reference, user.settings(plain_http=True)),
    )
    secure.blob_locations.record(BLOB.digest, reference.repository, BLOB.size)
    secure.close()
    assert plain.blob_locations.of(BLOB.digest) == ()
    assert RegistryClient(reference, user.settings()).blob_locations.of(BLOB.digest) == ("secret/project",)


def test_a_name_that_is_none_is_not_asked_with(registry: FaultyRegistry, user: User) -> None:
    """An image may say anything of its layers; in a scope, a space would begin another one."""
    notes = {f"containerd.io/distribution.source.{registry.host}": MountHint("x:pull repository:y,../z,UP,ok")}
    offered = Descriptor(media_type=TYPE, digest=BLOB.digest, size=BLOB.size, annotations=notes)
    with user.sink(registry, "b:1") as sink:
        assert not sink.has(offered)
    assert froms(registry) == ["ok"]


@pytest.mark.parametrize("format", ["keep", "fix"])
def test_an_image_does_not_say_where_its_blobs_are_taken_from(
    registry: FaultyRegistry, user: User, format: str
) -> None:
    """Else a private blob, which the source never had, is mounted with the user's rights."""
    registry.places.add(("secret/private", registry.hold(DATA)))
    notes = {f"containerd.io/distribution.source.{registry.host}": "secret/private"}
    with a_registry() as stranger:
        labels = {"org.lfedge.eci.artifact.kernel": "/kernel"}
        config = rendered_config(labels)
        layers = (replace(BLOB, media_type=f"{media_types.OCI_LAYER}+gzip", annotations=notes),)
        text = to_json(Manifest(config=Descriptor.of(config, media_types.OCI_CONFIG), layers=layers))
        stranger.hold(config)
        stranger.manifests["machine", "1"] = (media_types.OCI_MANIFEST, text)
        with user.source(stranger) as source, user.sink(registry, "public/mirror:1") as sink:
            image = load_image(source, None)
            copied: dict[str, Callable[[], object]] = {
                "keep": lambda: copy.copy(source, sink),
                "fix": lambda: repair(source, image, sink, {}, TransferOptions(reporter=user.reporter)),
            }
            with pytest.raises(NotFoundError):
                copied[format]()
    assert froms(registry) == []


@pytest.mark.parametrize("place", ["registry", "layout"])
def test_what_the_source_lacks_is_not_taken_from_where_the_user_saw_it(
    registry: FaultyRegistry, user: User, place: str, tmp_path: Path
) -> None:
    """An image that names a blob of a private repository, which this user has pulled before."""
    sends(user, registry, "secret/private")
    registry.requests.clear()
    config = rendered_config({})
    layers = (replace(BLOB, media_type=f"{media_types.OCI_LAYER}+gzip"),)
    text = to_json(Manifest(config=Descriptor.of(config, media_types.OCI_CONFIG), layers=layers))
    with a_registry() as stranger:
        stranger.hold(config)
        stranger.manifests["machine", "1"] = (media_types.OCI_MANIFEST, text)
        folder = tmp_path / "layout"
        (folder / "blobs/sha256").mkdir(parents=True)
        for content_ in (config, text):
            (folder / "blobs/sha256" / Digest.of(content_).hex).write_bytes(content_)
        (folder / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
        listed = {"schemaVersion": 2, "manifests": [Descriptor.of(text, media_types.OCI_MANIFEST).json()]}
        (folder / "index.json").write_text(json.dumps(listed))
        name = f"docker://{stranger.host}/machine:1" if place == "registry" else f"oci:{folder}"
        source = open_source(name, user.settings())
        with source, user.sink(registry, "public/mirror:1") as sink, pytest.raises(NotFoundError):
            copy.copy(source, sink)
        assert froms(registry) == []

        stranger.hold(DATA)
        (folder / "blobs/sha256" / BLOB.digest.hex).write_bytes(DATA)
        source = open_source(name, user.settings())
        with source, user.sink(registry, "public/mirror:1") as sink:
            copy.copy(source, sink)
    assert "secret%2Fprivate" in froms(registry)
    assert not is_sent(registry)


def test_only_a_hint_of_a_source_of_ours_is_believed(registry: FaultyRegistry, user: User) -> None:
    registry.places.add(("a", registry.hold(DATA)))
    key = f"containerd.io/distribution.source.{registry.host}"
    with user.sink(registry, "b:1") as sink:
        assert not sink.has(replace(BLOB, annotations={key: "a"}))
        assert froms(registry) == []
        assert sink.has(replace(BLOB, annotations={key: MountHint("a")}))
    assert froms(registry) == ["a"]


def rendered_config(labels: dict[str, str]) -> bytes:
    rootfs = {"type": "layers", "diff_ids": [str(BLOB.digest)]}
    return json.dumps({"architecture": "amd64", "os": "linux", "config": {"Labels": labels}, "rootfs": rootfs}).encode()

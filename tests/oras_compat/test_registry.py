"""Users of oras-py use ours in its place: the same verbs, and none of the holes
(docs/explanation/dependencies.md#oras)."""

from __future__ import annotations

import base64
import inspect
import io
import json
import tarfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import oras.container
import oras.provider
import pytest

from eci_convert import testing as faults
from eci_convert.errors import (
    AccessDeniedError,
    DigestMismatchError,
    FormatError,
    NotFoundError,
    SizeMismatchError,
    TransportError,
    UsageError,
)
from eci_convert.oci.digest import Digest
from eci_convert.oras_compat.names import OrasName
from eci_convert.oras_compat.registry import Registry
from eci_convert.testing import FaultyRegistry
from eci_convert.transports.registry.http import retry
from eci_convert.transports.settings import Settings
from tests.support.fake_registry.server import a_registry

OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
TITLE = "org.opencontainers.image.title"
PACKED = "application/vnd.oci.image.layer.v1.tar+gzip"


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(retry, "INITIAL_DELAY", 0.002)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def server() -> Iterator[FaultyRegistry]:
    with a_registry() as running:
        yield running


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    return Registry(insecure=True, settings=Settings(environ={"HOME": str(tmp_path / "home")}, timeout=5.0))


def pushed(registry: Registry, server: FaultyRegistry, **files: bytes) -> str:
    for name, content in files.items():
        Path(name).write_bytes(content)
    target = f"{server.host}/team/machine:1"
    response = registry.push(target, files=list(files), quiet=True)
    assert response.status_code in (200, 201)
    return target


def holding(server: FaultyRegistry, *layers: dict[str, object]) -> str:
    """An image with *layers* as they are said to be."""
    config = server.hold(b"{}")
    manifest = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": {"mediaType": "x/y", "digest": config, "size": 2},
        "layers": list(layers),
    }
    server.manifests["a", "1"] = (OCI_MANIFEST, json.dumps(manifest).encode())
    return f"{server.host}/a:1"


def layer(server: FaultyRegistry, content: bytes, title: str, media_type: str = "x/y") -> dict[str, object]:
    return {
        "mediaType": media_type,
        "digest": server.hold(content),
        "size": len(content),
        "annotations": {TITLE: title},
    }


# The hooks


OVERRIDDEN = [
    name for name, value in vars(Registry).items() if inspect.isfunction(value) and name in vars(oras.provider.Registry)
]


@pytest.mark.parametrize(
    "name",
    ["get_container", "login", "do_request", "_do_paginated_request", "get_blob", "download_blob", "upload_blob",
     "put_upload", "chunked_upload", "upload_manifest", "get_manifest", "pull"],
)  # fmt: skip
def test_what_we_override_exists_in_oras(name: str) -> None:
    assert name in OVERRIDDEN


@pytest.mark.parametrize("name", OVERRIDDEN)
def test_what_we_override_takes_what_oras_gives_it(name: str) -> None:
    theirs = inspect.signature(inspect.unwrap(getattr(oras.provider.Registry, name))).parameters
    ours = inspect.signature(getattr(Registry, name)).parameters
    open_ended = any(each.kind is each.VAR_KEYWORD for each in ours.values())
    assert open_ended or set(theirs) <= set(ours)


def test_what_oras_calls_that_we_replace_on_its_objects_exists() -> None:
    assert callable(oras.auth.TokenAuth.load_configs)
    assert callable(oras.auth.TokenAuth.authenticate_request)
    assert oras.provider.jsonschema.validate


# The verbs


def test_files_are_pushed_and_pulled(registry: Registry, server: FaultyRegistry, tmp_path: Path) -> None:
    target = pushed(registry, server, kernel=b"kernel", initrd=b"i" * 3_000_000)
    found = registry.pull(target, outdir=str(tmp_path / "out"))
    assert [Path(path).name for path in found] == ["kernel", "initrd"]
    assert (tmp_path / "out/initrd").read_bytes() == b"i" * 3_000_000


def test_what_is_there_is_not_sent(registry: Registry, server: FaultyRegistry) -> None:
    pushed(registry, server, kernel=b"kernel")
    server.requests.clear()
    pushed(registry, server, kernel=b"kernel")
    assert not server.seen("/uploads/")


def test_oras_itself_pulls_what_we_pushed_and_the_other_way(
    registry: Registry, server: FaultyRegistry, tmp_path: Path
) -> None:
    theirs = oras.provider.Registry(insecure=True)
    target = pushed(registry, server, kernel=b"kernel")
    assert [Path(path).read_bytes() for path in theirs.pull(target, outdir=str(tmp_path / "a"))] == [b"kernel"]
    Path("disk").write_bytes(b"disk")
    theirs.push(target, files=["disk"], quiet=True)
    assert [Path(path).read_bytes() for path in registry.pull(target, outdir=str(tmp_path / "b"))] == [b"disk"]


def test_a_directory_is_pushed_and_pulled(registry: Registry, server: FaultyRegistry, tmp_path: Path) -> None:
    (tmp_path / "parts/deep").mkdir(parents=True)
    (tmp_path / "parts/deep/kernel").write_bytes(b"kernel")
    registry.push(f"{server.host}/a:1", files=["parts"], quiet=True)
    registry.pull(f"{server.host}/a:1", outdir=str(tmp_path / "out"))
    assert (tmp_path / "out/parts/deep/kernel").read_bytes() == b"kernel"


def test_tags_are_listed_over_pages_and_deleted(registry: Registry, server: FaultyRegistry) -> None:
    target = pushed(registry, server, kernel=b"kernel")
    pages = [{"tags": ["1", "2"]}, {"tags": ["3"]}]
    link = faults.header("Link", "</v2/team/machine/tags/list?n=2&last=2>; rel=next")
    server.misbehave("GET", "/tags/", lambda reply: link(faults.status(200, json.dumps(pages[0]).encode())(reply)))
    server.misbehave("GET", "/tags/", faults.status(200, json.dumps(pages[1]).encode()))
    assert registry.get_tags(target) == ["1", "2", "3"]
    server.misbehave("DELETE", "/manifests/", faults.status(202))
    assert registry.delete_tag(target, "1")


def test_a_list_of_tags_does_not_lead_to_another_server(registry: Registry, server: FaultyRegistry) -> None:
    """Threat 80."""
    with a_registry() as other:
        link = faults.header("Link", f"<{other.url}/v2/x/tags/list>; rel=next")
        server.misbehave("GET", "/tags/", lambda reply: link(faults.status(200, b'{"tags": ["1"]}')(reply)))
        with pytest.raises(TransportError, match="refused"):
            registry.get_tags(f"{server.host}/a")
        assert other.requests == []


def test_a_manifest_keeps_its_media_type_and_what_it_holds(registry: Registry, server: FaultyRegistry) -> None:
    """oras-py sends every manifest as an OCI image manifest."""
    document = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": [],
        "artifactType": "x/y",
    }
    name = registry.get_container(f"{server.host}/a:1")
    response = registry.upload_manifest(document, name)
    assert response.status_code == 201
    assert server.manifests["a", "1"][0] == "application/vnd.oci.image.index.v1+json"
    assert response.headers["Docker-Content-Digest"] == str(Digest.of(server.manifests["a", "1"][1]))
    assert registry.get_manifest(f"{server.host}/a:1") == document
    with pytest.raises(TransportError, match="not allowed"):
        registry.get_manifest(name, allowed_media_type=[OCI_MANIFEST])


def test_of_an_index_the_image_for_this_computer_is_pulled(
    registry: Registry, server: FaultyRegistry, tmp_path: Path
) -> None:
    """oras#1157: pulling a Docker image with oras gives nothing."""
    holding(server, layer(server, b"kernel", "kernel"))
    manifest = server.manifests["a", "1"][1]
    digest = str(Digest.of(manifest))
    server.manifests["a", digest] = server.manifests["a", "1"]
    entry = {"mediaType": OCI_MANIFEST, "digest": digest, "size": len(manifest)}
    index = {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": [entry]}
    server.manifests["a", "1"] = (str(index["mediaType"]), json.dumps(index).encode())
    assert len(registry.pull(f"{server.host}/a:1", outdir=str(tmp_path / "out"))) == 1


def test_existing_files_are_kept_where_that_is_wanted(
    registry: Registry, server: FaultyRegistry, tmp_path: Path
) -> None:
    target = holding(server, layer(server, b"new", "kernel"))
    (tmp_path / "out").mkdir()
    (tmp_path / "out/kernel").write_bytes(b"old")
    assert registry.pull(target, outdir=str(tmp_path / "out"), overwrite=False) == []
    assert (tmp_path / "out/kernel").read_bytes() == b"old"


# Holes that are closed


def test_wrong_bytes_leave_the_old_file_alone(registry: Registry, server: FaultyRegistry, tmp_path: Path) -> None:
    """oras-py#247: no check at all, straight to the final name."""
    target = holding(server, layer(server, b"kernel", "kernel"))
    (tmp_path / "out").mkdir()
    (tmp_path / "out/kernel").write_bytes(b"old")
    server.misbehave("GET", "/blobs/", faults.spoiled)
    with pytest.raises(DigestMismatchError):
        registry.pull(target, outdir=str(tmp_path / "out"))
    assert {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()} == {"kernel": b"old"}


def test_a_cut_download_goes_on(registry: Registry, server: FaultyRegistry, tmp_path: Path) -> None:
    target = holding(server, layer(server, b"k" * 100_000, "kernel"))
    server.misbehave("GET", "/blobs/", faults.cut(5000))
    registry.pull(target, outdir=str(tmp_path / "out"))
    assert server.seen("/blobs/", "GET")[1].header("Range") == "bytes=5000-"


def test_what_may_pass_is_asked_for_again(registry: Registry, server: FaultyRegistry) -> None:
    """oras-py gives up at one 503 or 429."""
    server.misbehave(".*", "/v2/", faults.status(503), times=2)
    assert registry.do_request(f"{server.url}/v2/").status_code == 200


@pytest.mark.parametrize("title", ["../evil", "/etc/evil", "a/../../evil", "..", ".", "a//b", "\0", "link/evil"])
def test_no_title_leads_out_of_the_directory(
    registry: Registry, server: FaultyRegistry, tmp_path: Path, title: str
) -> None:
    """Threat 73: oras-py takes `/out-evil` to be inside `/out`."""
    (tmp_path / "out").mkdir()
    (tmp_path / "out/link").symlink_to(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(FormatError, match=r"is no name for a file below a directory|leads through a symbolic link"):
        registry.pull(holding(server, layer(server, b"x", title)), outdir=str(tmp_path / "out"))
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE])
def test_a_packed_directory_makes_no_links_and_no_devices(
    registry: Registry, server: FaultyRegistry, tmp_path: Path, kind: bytes
) -> None:
    spool = io.BytesIO()
    with tarfile.open(fileobj=spool, mode="w:gz") as archive:
        member = tarfile.TarInfo("evil")
        member.type, member.linkname = kind, "/etc/passwd"
        archive.addfile(member)
    with pytest.raises(FormatError, match="is neither a file nor a directory"):
        registry.pull(holding(server, layer(server, spool.getvalue(), "d", PACKED)), outdir=str(tmp_path / "out"))
    assert list((tmp_path / "out").iterdir()) == []


HEADS: dict[str, faults.Change] = {
    "405": faults.status(405),
    "404": faults.status(404),
    "501": faults.status(501),
    "403": faults.status(403),
    "no length": lambda reply: replace(reply, length=None),
    "length 0": lambda reply: replace(reply, length=0),
}


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("size", [6, 5, 7])
def test_a_blob_is_verified_whatever_its_head_is_answered(
    registry: Registry, server: FaultyRegistry, tmp_path: Path, head: str, size: int
) -> None:
    """Also of an image that is pinned by its digest, and whichever method brings the bytes."""
    good = b"kernel"
    target = holding(server, layer(server, good, "kernel"))
    digest = str(Digest.of(good))
    server.misbehave("HEAD", "/blobs/", HEADS[head], times=99)
    assert registry.pull(target, outdir=str(tmp_path / "good"))
    assert (tmp_path / "good/kernel").read_bytes() == good
    assert registry.get_blob(target, digest).content == good

    server.blobs[digest] = b"x" * size
    with pytest.raises((DigestMismatchError, SizeMismatchError), match=r"digest mismatch|size mismatch"):
        registry.pull(target, outdir=str(tmp_path / "out"))
    with pytest.raises((DigestMismatchError, SizeMismatchError), match=r"digest mismatch|size mismatch"):
        registry.download_blob(target, digest, str(tmp_path / "out/blob"))
    with pytest.raises((DigestMismatchError, SizeMismatchError), match=r"digest mismatch|size mismatch"):
        registry.get_blob(target, digest)
    with (
        registry.get_blob(target, digest, stream=True) as response,
        pytest.raises((DigestMismatchError, SizeMismatchError), match=r"digest mismatch|size mismatch"),
    ):
        list(response.iter_content(4))
    assert list((tmp_path / "out").iterdir()) == []


def test_a_blob_that_is_not_there_is_still_missed(registry: Registry, server: FaultyRegistry, tmp_path: Path) -> None:
    target = holding(server)
    assert registry.get_blob(target, str(Digest.of(b"missing"))).status_code == 404
    with pytest.raises(ValueError, match="Not Found"):
        registry.download_blob(target, str(Digest.of(b"missing")), str(tmp_path / "blob"))
    assert not (tmp_path / "blob").exists()


def test_a_streamed_blob_is_verified_as_it_is_read(registry: Registry, server: FaultyRegistry) -> None:
    digest = server.hold(b"k" * 100_000)
    with registry.get_blob(f"{server.host}/a:1", digest, stream=True) as response:
        assert b"".join(response.iter_content(7000)) == b"k" * 100_000
    assert registry.get_blob(f"{server.host}/a:1", digest).content == b"k" * 100_000
    assert registry.get_blob(f"{server.host}/a:1", digest, head=True).headers["Content-Length"] == "100000"
    server.misbehave("GET", "/blobs/", faults.spoiled)
    with registry.get_blob(f"{server.host}/a:1", digest, stream=True) as response, pytest.raises(DigestMismatchError):
        response.raw.read()
    assert registry.get_blob(f"{server.host}/a:1", str(Digest.of(b"no"))).status_code == 404
    with pytest.raises(ValueError, match=r"404|Not Found"):
        registry.download_blob(f"{server.host}/a:1", str(Digest.of(b"no")), "x")


def test_a_missing_image_is_named(registry: Registry, server: FaultyRegistry) -> None:
    with pytest.raises(NotFoundError):
        registry.get_manifest(f"{server.host}/a:1")


# Names


@pytest.mark.parametrize(
    ("text", "registry", "uri"),
    [
        ("ubuntu", "registry-1.docker.io", "library/ubuntu"),
        ("localhost/foo:1", "localhost", "foo"),
        ("localhost:5000/a/b:1", "localhost:5000", "a/b"),
        ("[::1]:5000/a", "[::1]:5000", "a"),
        ("REGISTRY/a", "REGISTRY", "a"),
    ],
)
def test_names_are_read_as_docker_reads_them(text: str, registry: str, uri: str) -> None:
    """oras-py makes `docker.io` without `library/` of the first, and Docker Hub of the second."""
    name = Registry().get_container(text)
    assert (name.registry, name.api_prefix) == (registry, uri)
    assert isinstance(name, oras.container.Container)
    assert name.tag


def test_a_hostname_stands_before_names_without_one() -> None:
    assert Registry(hostname="r.io").get_container("a/b:1").registry == "r.io"
    assert Registry(hostname="r.io").get_container("s.io/a:1").registry == "s.io"
    assert Registry().get_container(oras.container.Container("s.io/a:1")).reference.repository == "a"
    with pytest.raises(UsageError, match="is not a valid image reference"):
        OrasName("UPPER:CASE:name")


# Who we are


def test_credentials_come_from_the_user_s_files(registry: Registry, server: FaultyRegistry, tmp_path: Path) -> None:
    server.users, server.bearer = {"me": "pw"}, True
    config = tmp_path / "home/.docker/config.json"
    config.parent.mkdir(parents=True)
    config.write_text(json.dumps({"auths": {server.host: {"auth": base64.b64encode(b"me:pw").decode()}}}))
    pushed(registry, server, kernel=b"kernel")
    assert server.secrets_seen()[0] == "me:pw"


def test_a_config_path_is_an_authfile(registry: Registry, server: FaultyRegistry, tmp_path: Path) -> None:
    server.users = {"me": "pw"}
    (tmp_path / "mine.json").write_text(
        json.dumps({"auths": {server.host: {"auth": base64.b64encode(b"me:pw").decode()}}})
    )
    (tmp_path / "kernel").write_bytes(b"kernel")
    registry.push(f"{server.host}/a:1", files=["kernel"], config_path=str(tmp_path / "mine.json"), quiet=True)


@pytest.mark.parametrize("backend", ["token", "basic"])
@pytest.mark.parametrize("bearer", [True, False])
def test_what_an_auth_back_end_was_told_is_used(server: FaultyRegistry, backend: str, bearer: bool) -> None:
    server.users, server.bearer = {"me": "pw"}, bearer
    registry = Registry(insecure=True, auth_backend=backend, settings=Settings(timeout=5.0))
    registry.auth.set_basic_auth("me", "pw")
    pushed(registry, server, kernel=b"kernel")


def test_a_password_is_for_the_host_of_the_registry(server: FaultyRegistry) -> None:
    """Registry(hostname=A) told B, which a name or a manifest may lead to."""
    server.users = {"me": "pw"}
    for settings in (Settings(timeout=5.0), Settings(timeout=5.0, username="me", password="pw")):
        registry = Registry("elsewhere.example", insecure=True, settings=settings)
        if not settings.username:
            registry.auth.set_basic_auth("me", "pw")
        with pytest.raises(AccessDeniedError):
            registry.get_manifest(f"{server.host}/a:1")
        assert server.secrets_seen() == []
    registry = Registry(server.host, insecure=True, settings=Settings(timeout=5.0))
    registry.auth.set_basic_auth("me", "pw")
    with pytest.raises(NotFoundError):
        registry.get_manifest("a:1")
    assert server.secrets_seen()


def test_a_password_for_no_host_in_particular_is_for_the_first_that_asks(server: FaultyRegistry) -> None:
    registry = Registry(insecure=True, settings=Settings(timeout=5.0))
    registry.auth.set_basic_auth("me", "pw")
    with a_registry() as other:
        server.users = other.users = {"me": "pw"}
        pushed(registry, server, kernel=b"kernel")
        with pytest.raises(AccessDeniedError):
            registry.get_manifest(f"{other.host}/a:1")
        assert other.secrets_seen() == []


def test_a_back_end_of_one_s_own_is_not_asked_for_another_host(
    server: FaultyRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Mine(oras.auth.EcrAuth):  # type: ignore[misc]
        def authenticate_request(self, original, headers, refresh=False):  # type: ignore[no-untyped-def]
            return {**headers, "Authorization": "Basic " + base64.b64encode(b"me:pw").decode()}, True

    monkeypatch.setitem(oras.auth.auth_backends, "mine", Mine)
    server.users = {"me": "pw"}
    registry = Registry("elsewhere.example", insecure=True, auth_backend="mine", settings=Settings(timeout=5.0))
    assert registry.do_request(f"{server.url}/v2/").status_code == 401
    assert server.secrets_seen() == []


def test_a_login_for_one_host_is_not_told_another(
    registry: Registry, server: FaultyRegistry, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Threat 96: oras-py tells it to whichever registry comes next."""
    monkeypatch.setattr(oras.provider.oras.utils, "get_docker_client", _nobody)
    registry.login("me", "pw", hostname="elsewhere.example", config_path=str(tmp_path / "config.json"))
    server.users = {"me": "pw"}
    with pytest.raises(AccessDeniedError):
        registry.get_manifest(f"{server.host}/a:1")
    assert server.secrets_seen() == []


def _nobody(**_: object) -> None:
    raise OSError


def test_an_upload_elsewhere_carries_no_authorization(registry: Registry, server: FaultyRegistry) -> None:
    """Threat 79: one token for all hosts, sent to whatever host an upload's Location names."""
    server.users, server.bearer = {"me": "pw"}, True
    registry.auth.set_basic_auth("me", "pw")
    with a_registry() as other:
        other.uploads["session-9"] = bytearray()
        server.misbehave("HEAD", "/blobs/")
        server.misbehave("POST", "/uploads/", faults.header("Location", f"{other.url}/v2/x/blobs/uploads/session-9"))
        pushed(registry, server, kernel=b"kernel")
        assert other.blobs
        assert other.secrets_seen() == []


def test_an_auth_back_end_of_one_s_own_is_asked(server: FaultyRegistry, monkeypatch: pytest.MonkeyPatch) -> None:
    """As that of ECR is."""

    class Mine(oras.auth.EcrAuth):  # type: ignore[misc]
        def authenticate_request(self, original, headers, refresh=False):  # type: ignore[no-untyped-def]
            assert original.headers["Www-Authenticate"]
            return {**headers, "Authorization": "Basic " + base64.b64encode(b"me:pw").decode()}, True

    monkeypatch.setitem(oras.auth.auth_backends, "mine", Mine)
    server.users = {"me": "pw"}
    registry = Registry(insecure=True, auth_backend="mine", settings=Settings(timeout=5.0))
    assert registry.do_request(f"{server.url}/v2/").status_code == 200

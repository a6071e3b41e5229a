"""The Docker engine as a place, spoken to over a real socket."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import os
import socket
import ssl
import stat
import subprocess
import sys
import tarfile
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from docker import APIClient
from urllib3.exceptions import InsecureRequestWarning

from eci_convert.compression.libzstd import zstd
from eci_convert.errors import (
    AccessDeniedError,
    CannotHoldError,
    IntegrityError,
    LocalError,
    MissingPartError,
    NotFoundError,
    TransportError,
    UsageError,
)
from eci_convert.oci import media_types
from eci_convert.oci.descriptor import Descriptor
from eci_convert.oci.digest import Digest
from eci_convert.oci.manifest import Manifest
from eci_convert.reading.blobs import load_document
from eci_convert.reading.images import load_image, load_root
from eci_convert.streams.repeatable import SparseStream
from eci_convert.transports import open_sink, open_source
from eci_convert.transports.base import IMAGE_ID_ANNOTATION
from eci_convert.transports.docker_daemon.client import EngineClient
from eci_convert.transports.docker_daemon.container_files import OWNER_LABEL, _signature
from eci_convert.transports.docker_daemon.endpoint import Endpoint
from eci_convert.transports.settings import Settings
from tests.support.chunking import cut, noise
from tests.support.docker_images import files_of, loaded
from tests.support.fake_docker import ADocker, AnImage, Handler, a_docker, over_tcp
from tests.support.images import Link, a_container, a_tar, an_image, an_index, copied, layer_type

BIG = os.urandom(3 << 20)
short_directory = tempfile.TemporaryDirectory  # the path of a socket must be short


@pytest.fixture(params=["classic", "containerd"])
def docker(request: pytest.FixtureRequest) -> Iterator[ADocker]:
    """An engine, with either store."""
    in_containerd = request.param == "containerd"
    with short_directory() as directory, a_docker(Path(directory), in_containerd=in_containerd) as engine:
        yield engine


@pytest.fixture
def one_docker() -> Iterator[ADocker]:
    """An engine with the classic store."""
    with short_directory() as directory, a_docker(Path(directory)) as engine:
        yield engine


def resolved(settings: Settings, name: str = "machine") -> Descriptor:
    with open_source(f"docker-daemon:{name}", settings) as source:
        return source.resolve()


# reading


def test_labels_platform_and_diff_ids_are_those_of_the_image(docker: ADocker) -> None:
    written = a_container("none").platform("linux/arm64/v8")
    loaded(docker, written)

    with open_source("docker-daemon:machine:1", docker.settings()) as source:
        image = load_image(source)

    assert image.config.labels == written.labels
    assert image.config.diff_ids == written.diff_ids
    assert str(image.platform) == "linux/arm64/v8"
    assert [layer.digest for layer in image.manifest.layers] == list(written.diff_ids)


def says_nothing(docker: ADocker, name: str) -> None:
    """Let *docker* answer as Docker 28 does for an image whose layers it had unpacked for another one."""
    image = docker.found(name)
    assert image is not None
    empty = {"Id": docker.identity(image), "Os": "", "Architecture": "", "Config": {"Labels": None}, "RootFS": {}}

    def answered(handler: Handler) -> None:
        handler.say(empty) if handler.words[0] == "images" else handler.get_json()

    docker.instead["GET json"] = answered


def test_where_the_engine_is_silent_about_an_image_its_container_is_asked() -> None:
    with short_directory() as directory, a_docker(Path(directory), in_containerd=True) as docker:
        written = a_container()
        loaded(docker, written)
        says_nothing(docker, "machine:1")
        with open_source("docker-daemon:machine:1", docker.settings()) as source:
            image = load_image(source)
            assert image.config.labels == written.labels
            assert str(image.platform) == "linux/amd64"
        assert not docker.containers


def test_where_the_engine_is_silent_and_makes_no_container_there_are_no_labels(docker: ADocker) -> None:
    loaded(docker, a_container())
    says_nothing(docker, "machine:1")

    def refusing(handler: Handler) -> None:
        handler.body()
        handler.refuse(500, "not today")

    docker.instead["POST create"] = refusing
    with open_source("docker-daemon:machine:1", docker.settings()) as source:
        assert not load_image(source).config.labels


def test_an_image_that_is_saved_without_a_layer_says_so() -> None:
    with short_directory() as directory, a_docker(Path(directory), in_containerd=True) as docker:
        loaded(docker, a_container())
        image = docker.found("machine:1")
        assert image is not None
        layer = Descriptor.of(b"never kept", media_types.OCI_LAYER)
        with open_source("docker-daemon:machine:1", docker.settings()) as source:
            files = source.filesystem()
            assert files is not None
            with (
                pytest.raises(
                    NotFoundError, match=f"machine:1: docker save left out the blob {layer.digest}"
                ) as caught,
                files.full_image().fetch(layer),
            ):
                pass
        assert "hint:" in caught.value.__notes__[0]


def test_an_image_is_found_by_its_id_and_known_by_it(docker: ADocker) -> None:
    loaded(docker, a_container("none"))
    identity = docker.identity(docker.images["machine:1"])

    with open_source(f"docker-daemon:{identity}", docker.settings()) as source:
        assert source.resolve().annotations[IMAGE_ID_ANNOTATION] == identity
        assert load_image(source).config.labels


@pytest.mark.parametrize("identity", ["sha256:0123", "sha256:" + 64 * "0", 64 * "0"])
def test_nobody_is_told_to_pull_an_image_id(docker: ADocker, identity: str) -> None:
    with (
        open_source(f"docker-daemon:{identity}", docker.settings()) as source,
        pytest.raises(NotFoundError, match="no such image") as caught,
    ):
        source.resolve()

    assert caught.value.__notes__ == [
        "hint: `eci-convert list docker-daemon:` shows the ids of the images that the engine has"
    ]


def test_files_come_out_one_by_one_and_no_layer_travels(docker: ADocker) -> None:
    loaded(docker, an_image().tar_layer({"boot/": None, "boot/kernel": BIG}).tar_layer({"initrd": b"initrd"}))
    docker.log.clear()

    assert files_of(docker, "/boot/kernel", "initrd") == {"/boot/kernel": BIG, "initrd": b"initrd"}

    assert docker.log.count("GET archive") == 2
    assert "GET get" not in docker.log


def test_the_engine_is_not_asked_to_compress(one_docker: ADocker) -> None:
    """It would, for any client that says it understands gzip; and take four times as long."""
    loaded(one_docker, an_image().tar_layer({"kernel": b"kernel"}))

    files_of(one_docker, "/kernel")

    assert one_docker.headers["GET archive"]["Accept-Encoding"] == "identity"


def test_a_link_is_followed_inside_the_image(docker: ADocker) -> None:
    loaded(docker, an_image().tar_layer({"kernel": Link("/boot/vmlinuz"), "boot/vmlinuz": b"kernel"}))

    assert files_of(docker, "/kernel") == {"/kernel": b"kernel"}


def test_an_answer_that_comes_at_once_is_not_waited_beyond(docker: ADocker) -> None:
    """A name that is not ASCII made Docker 20.10 send head and body together, and a reader that wants more hang."""
    loaded(docker, an_image().tar_layer({"ümläut": b"kernel"}))
    docker.instead["GET archive"] = at_once

    assert files_of(docker, "/ümläut") == {"/ümläut": b"kernel"}


def at_once(handler: Handler) -> None:
    """Less than the buffer of whoever reads the header, and nothing behind it: the connection stays open."""
    archive = a_tar({"ümläut": b"kernel"})
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    handler.wfile.write(head + b"%x\r\n%b\r\n0\r\n\r\n" % (len(archive), archive))


def test_an_archive_that_is_not_chunked_is_read_too(one_docker: ADocker) -> None:
    loaded(one_docker, an_image().tar_layer({"kernel": BIG}))

    def whole(handler: Handler) -> None:
        data = a_tar({"kernel": BIG})
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(data)))
        handler.end_headers()
        handler.wfile.write(data)

    one_docker.instead["GET archive"] = whole

    assert files_of(one_docker, "/kernel") == {"/kernel": BIG}


KINDS = {"image": {"Kind": "image", "Available": True}, "absent": {"Kind": "image", "Available": False},
         "attestation": {"Kind": "attestation", "Available": True}}  # fmt: skip


@pytest.mark.parametrize(
    ("kinds", "whole"),
    [(["image"], False), (["image", "attestation"], False), (["image", "absent"], False), (["image", "image"], True)],
)
def test_an_image_for_several_platforms_is_read_whole(docker: ADocker, kinds: list[str], whole: bool) -> None:
    """A container would be of the platform that suits the engine, whichever is asked for."""
    loaded(docker, an_image().tar_layer({"kernel": b"kernel"}))

    def telling(handler: Handler) -> None:
        if handler.words[0] != "images":
            return handler.get_json()
        say = handler.say

        def say_more(value: Any, status: int = 200) -> None:
            say(value | {"Manifests": [KINDS[kind] for kind in kinds]}, status)

        handler.say = say_more  # type: ignore[method-assign]
        return handler.get_images()

    docker.instead["GET json"] = telling

    assert files_of(docker, "/kernel") == {"/kernel": b"kernel"}
    assert ("GET get" in docker.log) is whole
    assert ("POST create" in docker.log) is not whole


def test_what_is_not_in_the_image_is_missing(docker: ADocker) -> None:
    loaded(docker, an_image().tar_layer({"kernel": b"kernel"}))

    with pytest.raises(MissingPartError, match="nothing"):
        files_of(docker, "/nothing")


def test_a_container_that_somebody_removed_is_not_taken_for_a_missing_file(one_docker: ADocker) -> None:
    loaded(one_docker, an_image().tar_layer({"kernel": b"kernel"}))

    def removed(handler: Handler) -> None:
        handler.engine.containers.clear()
        handler.get_archive()

    one_docker.instead["GET archive"] = removed

    with pytest.raises(TransportError, match="was removed by another process"):
        files_of(one_docker, "/kernel")


def test_an_image_that_is_not_there_is_not_found(docker: ADocker) -> None:
    with pytest.raises(NotFoundError) as caught:
        resolved(docker.settings())

    assert "docker-daemon:machine" in str(caught.value)


@pytest.mark.parametrize("name", ["UPPER", "a b", "../json", "a//b", "sha256:xyz/", "a:b:c", ""])
def test_what_is_no_name_is_not_asked_for(one_docker: ADocker, name: str) -> None:
    with pytest.raises(UsageError, match=r"is not a valid|must be lowercase|has no name after the transport"):
        open_source(f"docker-daemon:{name}", one_docker.settings())

    assert one_docker.log == []


def test_layers_are_had_with_the_whole_image_only(docker: ADocker) -> None:
    loaded(docker, an_image().tar_layer({"kernel": BIG}))

    with open_source("docker-daemon:machine:1", docker.settings()) as source:
        quick = load_image(source)
        with pytest.raises(TransportError, match="whole image"):
            load_document(source, quick.manifest.layers[0])
        files = source.filesystem()
        assert files is not None
        whole = load_image(files.full_image())
        assert Digest.of(load_document(files.full_image(), whole.manifest.layers[0])) == quick.config.diff_ids[0]

    assert whole.config.diff_ids == quick.config.diff_ids
    assert docker.log.count("GET get") == 1


def test_the_containerd_store_keeps_the_manifest_with_its_annotations(docker: ADocker) -> None:
    written = an_image().tar_layer({"kernel": b"kernel"}, role="kernel", title="kernel").annotation("colour", "red")
    loaded(docker, written)

    with open_source("docker-daemon:machine:1", docker.settings()) as source:
        files = source.filesystem()
        assert files is not None
        whole = load_image(files.full_image())

    kept = whole.manifest == written.manifest()
    assert kept is docker.in_containerd
    assert whole.manifest.config.digest == written.manifest().config.digest


# the container


def test_the_container_is_never_started_has_no_network_and_goes_again(docker: ADocker) -> None:
    loaded(docker, an_image().tar_layer({"kernel": b"kernel"}))
    seen: list[dict[str, object]] = []

    def watched(handler: Handler) -> None:
        seen.extend(handler.engine.containers.values())
        handler.get_archive()

    docker.instead["GET archive"] = watched
    files_of(docker, "/kernel")

    assert seen[0]["Cmd"]
    assert seen[0]["HostConfig"]["NetworkMode"] == "none"  # type: ignore[index]
    assert "POST start" not in docker.log
    assert docker.containers == {}
    assert docker.queries["DELETE containers"]["v"].lower() in ("1", "true")


def test_nothing_is_created_where_no_file_is_asked_for(docker: ADocker) -> None:
    loaded(docker, a_container("none"))

    with open_source("docker-daemon:machine:1", docker.settings()) as source:
        load_image(source)
        source.filesystem()

    assert "POST create" not in docker.log


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError, TransportError])
def test_the_container_goes_after_errors_too(one_docker: ADocker, error: type[BaseException]) -> None:
    loaded(one_docker, an_image().tar_layer({"kernel": b"kernel"}))

    def read() -> None:
        with open_source("docker-daemon:machine:1", one_docker.settings()) as source:
            files = source.filesystem()
            assert files is not None
            with files.fetch("/kernel"):
                assert one_docker.containers
                raise error("while it is read")

    with pytest.raises(error, match="while it is read"):
        read()

    assert one_docker.containers == {}


def test_a_container_whose_creation_was_interrupted_goes_too(one_docker: ADocker) -> None:
    """The answer never came; the name was known before."""
    loaded(one_docker, an_image().tar_layer({"kernel": b"kernel"}))

    def interrupted(handler: Handler) -> None:
        wanted = json.loads(handler.body())
        handler.engine.containers[handler.query["name"]] = wanted
        handler.close_connection = True

    one_docker.instead["POST create"] = interrupted

    with pytest.raises(TransportError, match="Remote end closed connection"):
        files_of(one_docker, "/kernel")

    assert one_docker.containers == {}


def test_what_a_killed_process_left_goes_on_the_next_run(one_docker: ADocker) -> None:
    loaded(one_docker, an_image().tar_layer({"kernel": b"kernel"}))
    boot, namespace, process, started = _signature().split("/")
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    one_docker.containers |= {
        "dead": {"Image": "x", "Labels": {OWNER_LABEL: f"{boot}/{namespace}/{dead.pid}/1"}},
        "reused": {"Image": "x", "Labels": {OWNER_LABEL: f"{boot}/{namespace}/{process}/1"}},
        "alive": {"Image": "x", "Labels": {OWNER_LABEL: f"{boot}/{namespace}/{process}/{started}"}},
        "elsewhere": {"Image": "x", "Labels": {OWNER_LABEL: f"other/{namespace}/1/1"}, "Created": int(time.time())},
        "long ago": {"Image": "x", "Labels": {OWNER_LABEL: f"other/{namespace}/1/1"}, "Created": 1},
    }

    files_of(one_docker, "/kernel")

    assert set(one_docker.containers) == {"alive", "elsewhere"}
    assert OWNER_LABEL in one_docker.queries["GET json"]["filters"]


def test_an_engine_that_will_not_list_containers_is_read_all_the_same(one_docker: ADocker) -> None:
    loaded(one_docker, an_image().tar_layer({"kernel": b"kernel"}))

    def refusing(handler: Handler) -> None:
        if handler.words[0] == "images":
            handler.get_images()
        else:
            handler.refuse(403, "authorization denied by plugin")

    one_docker.instead["GET json"] = refusing

    assert files_of(one_docker, "/kernel") == {"/kernel": b"kernel"}


# streams that go wrong


def broken_archive(*parts: bytes, wait: bool = False) -> Callable[[Handler], None]:
    """Answers in chunks, as whoever stands before an engine may, also where it was asked over HTTP/1.0."""

    def answer(handler: Handler) -> None:
        handler.send_response(200)
        handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()
        for part in parts:
            handler.wfile.write(part)
        handler.wfile.flush()
        if wait:
            handler.engine.released.wait(1)
        handler.close_connection = True

    return answer


CHUNK = b"8000\r\n" + bytes(32768) + b"\r\n"


@pytest.mark.parametrize(
    "parts",
    [
        (),
        (CHUNK,),
        (CHUNK, b"8000\r\n" + bytes(100)),
        (CHUNK, b"80"),
        (b"-5\r\n",),
        (b"zz\r\n",),
        (b"\r\n",),
        (b"ffffffffffffffffff\r\n",),
        (b"5\r\n1234567\r\n0\r\n\r\n",),
        (b"x" * 10000,),
        (b"0" * 3000 + b"\r\n",),
    ],
)
def test_a_stream_that_is_cut_or_garbled_is_an_error(one_docker: ADocker, parts: tuple[bytes, ...]) -> None:
    loaded(one_docker, an_image().tar_layer({"kernel": b"kernel"}))
    one_docker.instead["GET archive"] = broken_archive(*parts)

    with open_source("docker-daemon:machine:1", one_docker.settings()) as source:
        files = source.filesystem()
        assert files is not None
        with (
            pytest.raises(TransportError, match=r"unexpected EOF|malformed chunked response"),
            files.fetch("/kernel") as chunks,
        ):
            list(chunks)


@pytest.mark.parametrize("length", [0, 1, 300, 512, 1000, 1023, 1024, 5000, 600_000, len(BIG) + 512, len(BIG) + 1024])
def test_an_archive_that_ends_with_its_connection_and_too_early_is_an_error(one_docker: ADocker, length: int) -> None:
    loaded(one_docker, an_image().tar_layer({"kernel": b"kernel"}))
    archive = a_tar({"kernel": BIG})
    assert archive[-1024:] == bytes(1024)
    one_docker.instead["GET archive"] = until_closed(archive[:length])

    with open_source("docker-daemon:machine:1", one_docker.settings()) as source:
        files = source.filesystem()
        assert files is not None
        with pytest.raises(TransportError, match="unexpected EOF"), files.fetch("/kernel") as chunks:
            list(chunks)


def test_an_archive_that_stops_before_its_connection_ends_is_given_up(one_docker: ADocker) -> None:
    loaded(one_docker, an_image().tar_layer({"kernel": b"kernel"}))
    one_docker.instead["GET archive"] = until_closed(a_tar({"kernel": BIG})[: 2 << 20], wait=True)

    with open_source("docker-daemon:machine:1", one_docker.settings(timeout=0.2)) as source:
        files = source.filesystem()
        assert files is not None
        with pytest.raises(TransportError, match="timed out"), files.fetch("/kernel") as chunks:
            list(chunks)


def until_closed(archive: bytes, *, wait: bool = False) -> Callable[[Handler], None]:
    """Answers as an engine that is asked over HTTP/1.0."""

    def answer(handler: Handler) -> None:
        assert handler.request_version == "HTTP/1.0"
        handler.begin()
        handler.wfile.write(archive)
        if wait:
            handler.engine.released.wait(1)

    return answer


@pytest.mark.parametrize("parts", [(), (CHUNK,), (CHUNK, b"8000\r\n" + bytes(100))])
def test_a_stream_that_stops_is_given_up(
    one_docker: ADocker, parts: tuple[bytes, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """However long it may take to begin."""
    monkeypatch.setattr("eci_convert.transports.docker_daemon.engine._SLOW_FACTOR", 100)
    loaded(one_docker, an_image().tar_layer({"kernel": b"kernel"}))
    one_docker.instead["GET archive"] = broken_archive(*parts, wait=True)

    with open_source("docker-daemon:machine:1", one_docker.settings(timeout=0.2)) as source:
        files = source.filesystem()
        assert files is not None
        with pytest.raises(TransportError, match="timed out"), files.fetch("/kernel") as chunks:
            list(chunks)


def test_an_engine_that_never_answers_is_given_up(one_docker: ADocker) -> None:
    def silent(handler: Handler) -> None:
        handler.engine.released.wait(30)

    one_docker.instead["GET version"] = silent

    with pytest.raises(TransportError, match="timed out"):
        resolved(one_docker.settings(timeout=0.2))


@pytest.mark.parametrize(
    ("status", "text", "error"),
    [
        (500, '{"message": "the disk is on fire"}', TransportError),
        (403, '{"message": "authorization denied by plugin"}', AccessDeniedError),
        (404, '{"message": "No such image"}', NotFoundError),
        (400, '{"message": "invalid reference format: repository name must be lowercase"}', UsageError),
        (400, '{"message": "something else"}', TransportError),
        (500, '["a list"]', TransportError),
        (500, '{"no": "message"}', TransportError),
        (500, '{"message": 5}', TransportError),
        (502, "<html>Bad\n\x1b[31mGateway</html>", TransportError),
        (500, "", TransportError),
    ],
)
def test_refusals_of_any_shape_are_one_line(
    one_docker: ADocker, status: int, text: str, error: type[Exception]
) -> None:
    def refused(handler: Handler) -> None:
        handler.send_response(status)
        handler.send_header("Content-Length", str(len(text)))
        handler.end_headers()
        handler.wfile.write(text.encode())

    one_docker.instead["GET json"] = refused

    with pytest.raises(error) as caught:
        resolved(one_docker.settings())

    assert str(caught.value).isprintable()


# loading


def test_a_loaded_image_has_its_name_and_every_layer(docker: ADocker) -> None:
    image = an_image().tar_layer({"kernel": BIG}).tar_layer({"initrd": b"initrd"}).label("a", "b")

    loaded(docker, image, "edge/machine:2")

    [name] = docker.images
    assert name == "edge/machine:2"
    assert [Digest.of(layer) for layer in docker.images[name].layers] == list(image.diff_ids)
    assert Digest.of(docker.images[name].config) == image.manifest().config.digest


def test_a_name_without_a_tag_is_the_latest(one_docker: ADocker) -> None:
    loaded(one_docker, a_container("none"), "machine")

    assert list(one_docker.images) == ["machine:latest"]


def test_gzip_layers_go_as_they_are(docker: ADocker) -> None:
    image = a_container("gzip")

    loaded(docker, image)

    expected = [layer.digest for layer in image.manifest().layers] if docker.in_containerd else list(image.diff_ids)
    assert [Digest.of(layer) for layer in docker.images["machine:1"].layers] == expected


@pytest.mark.parametrize(("api", "goes"), [("1.41", True), ("1.42", False)])
def test_zstd_is_undone_for_engines_that_cannot_read_it(one_docker: ADocker, api: str, goes: bool) -> None:
    """This one cannot, whatever it says: what reaches it as zstd has wrong diff ids."""
    one_docker.api = api
    image = a_container("zstd")

    try:
        loaded(one_docker, image)
    except IntegrityError:
        assert not goes
    else:
        assert goes
        assert [Digest.of(layer) for layer in one_docker.images["machine:1"].layers] == list(image.diff_ids)


@pytest.mark.parametrize("media_type", [media_types.OCI_LAYER, media_types.DOCKER_LAYER])
@pytest.mark.parametrize("wrap", [gzip.compress, lzma.compress, bz2.compress, zstd.compress])
def test_a_layer_that_is_said_to_be_an_archive_and_is_compressed_is_sent_as_one(
    docker: ADocker, wrap: Callable[[bytes], bytes], media_type: str
) -> None:
    archive = a_tar({"kernel": b"kernel"})
    image = an_image().layer(media_type, wrap(archive), diff_id=Digest.of(archive))

    loaded(docker, image)

    assert docker.images["machine:1"].layers == [archive]
    assert Digest.of(docker.images["machine:1"].config) == image.manifest().config.digest


@pytest.mark.parametrize("wrap", [lzma.compress, bz2.compress])
def test_what_no_media_type_could_say_is_sent_as_an_archive_too(
    docker: ADocker, wrap: Callable[[bytes], bytes]
) -> None:
    archive = a_tar({"kernel": b"kernel"})

    loaded(docker, an_image().layer(layer_type("gzip"), wrap(archive), diff_id=Digest.of(archive)))

    assert docker.images["machine:1"].layers == [archive]


def test_the_diff_id_of_a_compressed_layer_is_checked_where_it_is_known(docker: ADocker) -> None:
    image = an_image().layer(media_types.OCI_LAYER, gzip.compress(a_tar({"k": b"k"})), diff_id=Digest.of(b"another"))

    with pytest.raises(IntegrityError, match="layer 0"):
        loaded(docker, image)

    assert docker.images == {}


def test_a_layer_is_sent_while_it_is_made(one_docker: ADocker) -> None:
    """Neither memory nor a file holds it: the engine has the first half before the second is asked for."""
    arrived = threading.Event()

    def listening(handler: Handler) -> None:
        seen = 0
        while seen < 12 << 20:
            size = int(handler.rfile.readline(), 16)
            seen += len(handler.rfile.read(size))
            handler.rfile.readline()
        arrived.set()
        handler.post_load()

    one_docker.instead["POST load"] = listening
    half = 24 << 20

    def chunks() -> Iterator[bytes]:
        for _ in range(half >> 20):
            yield bytes(1 << 20)
        assert arrived.wait(20)
        for _ in range(half >> 20):
            yield bytes(1 << 20)

    with open_sink("docker-daemon:machine", one_docker.settings()) as sink:
        sink.put(media_types.OCI_LAYER, chunks(), size=2 * half)


@pytest.mark.parametrize("known", [True, False], ids=["of-a-file", "spooled"])
def test_holes_are_not_sent(docker: ADocker, known: bool) -> None:
    """The engine makes them anew: a terabyte of nothing is a few blocks on the way."""
    image, sent = an_image().tar_layer({"disk": noise(5000) + bytes(48 << 20) + noise(5000)}), []
    [(layer, blob)] = image.layers

    def counting(handler: Handler) -> None:
        body = handler.body()
        sent.append(len(body))
        handler.body = lambda: body  # type: ignore[method-assign]
        handler.post_load()

    docker.instead["POST load"] = counting
    pieces = cut(blob, 1 << 20)
    chunks = SparseStream(pieces, lambda: [(0, 6000), (48 << 20, len(blob) - (48 << 20))]) if known else pieces
    with image.build() as source, open_sink("docker-daemon:machine:1", docker.settings()) as sink:
        root, manifest = load_root(source)
        assert isinstance(manifest, Manifest)
        sink.put(layer.media_type, chunks, size=layer.size if known else None)
        for document in (manifest.config, root):
            sink.put(document.media_type, (load_document(source, document),))
        sink.publish(root)

    assert sent[0] < 200_000
    assert docker.images["machine:1"].layers == [blob]


def test_nothing_is_loaded_under_a_name_that_is_not_published(docker: ADocker) -> None:
    image = a_container("none")

    with open_sink("docker-daemon:machine:1", docker.settings()) as sink:
        for layer, blob in image.layers:
            sink.put(layer.media_type, iter([blob]), digest=layer.digest, size=layer.size)

    assert docker.images == {}
    assert "a whole load" not in docker.log


def test_a_layer_that_breaks_off_takes_the_load_with_it(docker: ADocker) -> None:
    def broken() -> Iterator[bytes]:
        yield bytes(1 << 20)
        raise TransportError("the registry is gone")

    with pytest.raises(TransportError, match="registry"), open_sink("docker-daemon:a", docker.settings()) as sink:
        sink.put(media_types.OCI_LAYER, broken(), size=2 << 20)

    assert docker.images == {}


def test_a_layer_that_broke_off_can_be_sent_again(docker: ADocker) -> None:
    image = an_image().tar_layer({"kernel": BIG})
    [(layer, blob)] = image.layers

    def broken() -> Iterator[bytes]:
        yield blob[: 1 << 20]
        raise TransportError("the registry is gone for a moment")

    with open_sink("docker-daemon:machine:1", docker.settings()) as sink:
        with pytest.raises(TransportError, match="moment"):
            sink.put(layer.media_type, broken(), size=layer.size)
        copied(image.build(), sink)

    assert [Digest.of(each) for each in docker.images["machine:1"].layers] == list(image.diff_ids)


def test_an_error_inside_the_answer_is_an_error(docker: ADocker) -> None:
    def failing(handler: Handler) -> None:
        handler.body()
        handler.tell({"status": "Loading"}, {"errorDetail": {"message": "no space left on device"}, "error": "x"})

    docker.instead["POST load"] = failing

    with pytest.raises(TransportError, match="no space left on device"):
        loaded(docker, a_container("none"))


def test_an_image_that_the_engine_has_and_cannot_unpack_is_an_error(docker: ADocker) -> None:
    """Docker 28 with containerd's store says so in passing, and that it is loaded."""

    def told(handler: Handler) -> None:
        handler.body()
        handler.tell(
            {"stream": "Loaded image: machine:1\n"},
            {"stream": 'Error unpacking image machine:1: apply layer error for "": wrong diff id calculated\n'},
        )

    docker.instead["POST load"] = told

    with pytest.raises(IntegrityError, match="wrong diff id calculated") as caught:
        loaded(docker, a_container("none"))
    assert "verify --fix" in caught.value.__notes__[0]


@pytest.mark.parametrize(
    "event", [{"error": "it broke"}, {"errorDetail": {"message": "it broke"}}, {"errorDetail": {}}, {"errorDetail": 5}]
)
def test_an_error_is_told_in_any_way_that_engines_have(one_docker: ADocker, event: object) -> None:
    def failing(handler: Handler) -> None:
        handler.body()
        handler.tell(event)

    one_docker.instead["POST load"] = failing

    with pytest.raises(TransportError, match=r"it broke|unknown error|: 5$"):
        loaded(one_docker, a_container("none"))


def test_an_engine_that_breaks_off_in_the_middle_is_an_error(docker: ADocker) -> None:
    def broken(handler: Handler) -> None:
        handler.rfile.read(1000)
        handler.close_connection = True

    docker.instead["POST load"] = broken

    with pytest.raises(TransportError, match="Connection reset by peer"):
        loaded(docker, an_image().tar_layer({"kernel": BIG * 8}))


def test_an_engine_that_says_nothing_has_not_loaded_anything(docker: ADocker) -> None:
    def quiet(handler: Handler) -> None:
        handler.body()
        handler.tell()

    docker.instead["POST load"] = quiet

    with pytest.raises(NotFoundError):
        loaded(docker, a_container("none"))


def test_an_answer_that_was_cut_off_is_an_error(docker: ADocker) -> None:
    loaded(docker, an_image().tar_layer({"old": b"old"}))

    def cut(handler: Handler) -> None:
        handler.body()
        handler.begin()
        handler.wfile.write(b'10\r\n{"stream":')
        handler.close_connection = True

    docker.instead["POST load"] = cut

    with pytest.raises(TransportError, match="Connection broken"):
        loaded(docker, a_container("none"))


def test_another_image_under_the_name_is_not_taken_for_ours(docker: ADocker) -> None:
    loaded(docker, an_image().tar_layer({"old": b"old"}))

    def lazy(handler: Handler) -> None:
        handler.body()
        handler.tell({"stream": "Loaded image: machine:1"})

    docker.instead["POST load"] = lazy

    with pytest.raises(TransportError, match="has another image"):
        loaded(docker, a_container("none"))


def test_an_answer_that_is_no_json_is_an_error(one_docker: ADocker) -> None:
    def odd(handler: Handler) -> None:
        handler.body()
        handler.stream([b"<html>\r\n"])

    one_docker.instead["POST load"] = odd

    with pytest.raises(TransportError, match="JSON"):
        loaded(one_docker, a_container("none"))


def test_wrong_diff_ids_are_told_before_anything_is_named(docker: ADocker) -> None:
    image = an_image().tar_layer({"kernel": b"kernel"}, diff_id=Digest.of(b"something else"))

    with pytest.raises(IntegrityError, match="layer 0"):
        loaded(docker, image)

    assert docker.images == {}


def test_the_engines_word_on_diff_ids_is_an_integrity_error(one_docker: ADocker) -> None:
    image = an_image().tar_layer({"kernel": b"kernel"}, compression="gzip", diff_id=Digest.of(b"something else"))

    with pytest.raises(IntegrityError) as caught:
        loaded(one_docker, image)

    assert "verify --fix" in caught.value.__notes__[0]


def test_a_layer_of_unknown_length_is_spooled(docker: ADocker, tmp_path: Path) -> None:
    image = an_image().tar_layer({"kernel": BIG})
    settings = docker.settings(environ={**docker.environ, "TMPDIR": str(tmp_path)})
    [(layer, blob)] = image.layers

    with open_sink("docker-daemon:machine:1", settings) as sink:
        assert sink.put(layer.media_type, iter([blob])).digest == layer.digest
        config, kind = image.config_blob()
        sink.put(kind, iter([config]))
        manifest = image.build().blobs[image.build().resolve().digest]
        sink.publish(sink.put(media_types.OCI_MANIFEST, iter([manifest])))

    assert list(docker.images) == ["machine:1"]
    assert list(tmp_path.iterdir()) == []


def test_no_two_loads_call_a_layer_alike(one_docker: ADocker) -> None:
    """containerd would go on where a load that broke off was, whatever the layer of that name is now."""
    names: list[str] = []

    def noted(handler: Handler) -> None:
        with tarfile.open(fileobj=io.BytesIO(handler.body())) as archive:
            names.extend(name for name in archive.getnames() if name.endswith(".tar"))
        handler.refuse(500, "no")

    one_docker.instead["POST load"] = noted
    for _ in range(2):
        with pytest.raises(TransportError, match=r": no$"):
            loaded(one_docker, a_container("none"))

    assert len(names) == len(set(names)) == 4


def test_an_index_is_not_held(one_docker: ADocker) -> None:
    index = an_index(a_container("none")).build()

    with pytest.raises(CannotHoldError, match="cannot hold an index"):
        copied(index, open_sink("docker-daemon:machine", one_docker.settings()))


@pytest.mark.parametrize("name", ["UPPER", "machine@sha256:" + 64 * "0", "a b"])
def test_an_image_is_loaded_under_a_name_and_a_tag(one_docker: ADocker, name: str) -> None:
    with pytest.raises(UsageError, match=r"must be lowercase|not under a digest|is not a valid image reference"):
        open_sink(f"docker-daemon:{name}", one_docker.settings())


# where the engine is


def test_the_environment_names_the_engine_and_wins(one_docker: ADocker, tmp_path: Path) -> None:
    a_context(tmp_path, "other", "unix:///nowhere")
    environ = {**one_docker.environ, "DOCKER_CONFIG": str(tmp_path), "DOCKER_CONTEXT": "other"}

    assert engine_answers(environ)


def test_a_context_names_the_engine(one_docker: ADocker, tmp_path: Path) -> None:
    a_context(tmp_path, "mine", one_docker.environ["DOCKER_HOST"])

    assert engine_answers({"DOCKER_CONFIG": str(tmp_path), "DOCKER_CONTEXT": "mine"})


def test_the_context_in_use_names_the_engine(one_docker: ADocker, tmp_path: Path) -> None:
    a_context(tmp_path / ".docker", "mine", one_docker.environ["DOCKER_HOST"])
    (tmp_path / ".docker/config.json").write_text('{"currentContext": "mine"}')

    assert engine_answers({"HOME": str(tmp_path)})


def test_a_context_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="'nothing'"):
        open_source("docker-daemon:x", Settings(environ={"DOCKER_CONFIG": str(tmp_path), "DOCKER_CONTEXT": "nothing"}))


@pytest.mark.parametrize("text", ["", "[]", "{", '{"Endpoints": {"docker": {}}}', '{"Endpoints": 5}'])
def test_a_context_that_says_nothing_is_an_error(tmp_path: Path, text: str) -> None:
    a_context(tmp_path, "mine", "unix:///x").write_text(text)

    with pytest.raises(LocalError, match=r"meta.json"):
        open_source("docker-daemon:x", Settings(environ={"DOCKER_CONFIG": str(tmp_path), "DOCKER_CONTEXT": "mine"}))


def a_context(config: Path, name: str, host: str) -> Path:
    folder = config / "contexts/meta" / Digest.of(name.encode()).hex
    folder.mkdir(parents=True)
    meta = folder / "meta.json"
    meta.write_text(json.dumps({"Name": name, "Metadata": {}, "Endpoints": {"docker": {"Host": host}}}))
    return meta


def engine_answers(environ: dict[str, str]) -> bool:
    with pytest.raises(NotFoundError):
        resolved(Settings(environ=environ, timeout=5))
    return True


@pytest.mark.parametrize(
    "text",
    [
        '{"auths": {"x": {"auth": ""}}}',
        '{"auths": {"x": 5}}',
        "[]",
        "null",
        '{"proxies": null}',
        '{"auths": {"x": {"auth": "%%%"}}}',
        "not json",
        '{"credsStore": "broken"}',
    ],
)
def test_an_odd_config_json_is_no_reason_not_to_speak_to_the_engine(
    one_docker: ADocker, tmp_path: Path, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "config.json").write_text(text)
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))  # the SDK reads the process's own

    assert engine_answers({**one_docker.environ, "DOCKER_CONFIG": str(tmp_path)})


def test_the_client_has_all_that_the_sdks_own_has() -> None:
    """Ours does not run the SDK's constructor; a new version of it may set more."""
    theirs = APIClient(base_url="unix:///nowhere", version="1.41")
    ours = EngineClient(Endpoint(host="unix:///nowhere", origin="a test"), 60, "1.41")

    assert set(vars(theirs)) <= set(vars(ours))
    assert theirs.base_url == ours.base_url
    assert set(theirs.adapters) == set(ours.adapters) - {ours.archive_url}


@pytest.mark.parametrize(
    ("api", "lowest", "used"), [("1.41", "1.12", "1.41"), ("1.51", "1.24", "1.51"), ("1.99", "1.44", "1.51"),
                                ("1.99", "1.60", "1.60")],
)  # fmt: skip
def test_the_newest_api_that_both_know_is_used(one_docker: ADocker, api: str, lowest: str, used: str) -> None:
    one_docker.api, one_docker.lowest_api = api, lowest
    client = EngineClient(Endpoint(host=one_docker.environ["DOCKER_HOST"], origin="a test"), 5)

    assert client.negotiate() == used
    client.close()


@pytest.mark.parametrize("answer", [{}, {"ApiVersion": "one"}, {"ApiVersion": 1.5}, ["1.41"], {"ApiVersion": "1.12"}])
def test_what_is_no_engine_is_told_from_one(one_docker: ADocker, answer: object) -> None:
    one_docker.instead["GET version"] = lambda handler: handler.say(answer)

    with pytest.raises(TransportError, match=r"is not a Docker engine|is too old"):
        resolved(one_docker.settings())


def test_where_no_engine_is_there_is_a_hint(tmp_path: Path) -> None:
    dead = socket.socket(socket.AF_UNIX)
    dead.bind(f"{tmp_path}/dead.sock")
    dead.close()
    for path in (tmp_path / "nothing.sock", tmp_path / "dead.sock"):
        with pytest.raises(TransportError) as caught:
            resolved(Settings(environ={"DOCKER_HOST": f"unix://{path}"}, timeout=5))
        assert not isinstance(caught.value, (NotFoundError, AccessDeniedError))
        assert "DOCKER_HOST" in caught.value.__notes__[0]


def test_an_engine_over_tcp_that_refuses_has_a_hint() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]

    with pytest.raises(TransportError, match="cannot connect to the Docker engine"):
        resolved(Settings(environ={"DOCKER_HOST": f"tcp://127.0.0.1:{port}"}))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_a_socket_that_is_not_for_us_is_access_denied(one_docker: ADocker) -> None:
    one_docker.path.chmod(stat.S_IRUSR)
    one_docker.path.parent.chmod(0o755)
    program = (
        "import os, sys\n"
        "try: os.setgid(65534); os.setuid(65534)\n"
        "except OSError: sys.exit(77)\n"
        "from eci_convert.errors import AccessDeniedError\n"
        "from eci_convert.transports import open_source\n"
        "from eci_convert.transports.settings import Settings\n"
        "try: open_source('docker-daemon:x', Settings(environ={'DOCKER_HOST': sys.argv[1]})).resolve()\n"
        "except AccessDeniedError as error: sys.exit(0 if 'group' in error.__notes__[0] else 2)\n"
    )
    preload = "import eci_convert.transports.docker_daemon, encodings.idna\n"  # what another user may not read here

    done = subprocess.run([sys.executable, "-c", preload + program, one_docker.environ["DOCKER_HOST"]], check=False)

    if done.returncode == 77:
        pytest.skip("this root is none outside its namespace")
    assert done.returncode == 0


@pytest.mark.parametrize("host", ["ftp://x", "tcp://", "unix", "fd://", "tcp://host:99999", "http://h?q=1"])
def test_what_is_no_address_is_a_mistake(host: str) -> None:
    with pytest.raises((UsageError, TransportError), match="is not a valid address of a Docker engine"):
        resolved(Settings(environ={"DOCKER_HOST": host}))


def test_certificates_are_the_users_own(tmp_path: Path) -> None:
    from eci_convert.transports.docker_daemon.endpoint import find

    for name in ("ca", "cert", "key"):
        (tmp_path / f"{name}.pem").write_text("")

    found = find({"DOCKER_HOST": "tcp://h:2376", "DOCKER_TLS_VERIFY": "1", "DOCKER_CERT_PATH": str(tmp_path)})
    client = EngineClient(found, 5, "1.41")

    assert client.base_url == "https://h:2376"
    assert client.verify == str(tmp_path / "ca.pem")
    assert client.cert == (str(tmp_path / "cert.pem"), str(tmp_path / "key.pem"))


def test_a_proxy_stands_before_no_engine_of_this_computer(one_docker: ADocker, monkeypatch: pytest.MonkeyPatch) -> None:
    with over_tcp(one_docker) as address:
        monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
        monkeypatch.setenv("no_proxy", "")
        assert engine_answers({"DOCKER_HOST": f"tcp://{address}"})

    there = EngineClient(Endpoint(host="tcp://engine.example:2375", origin="a test"), 5, "1.41")
    assert there.proxies["http"] == "http://127.0.0.1:9"


def test_an_engine_behind_tls_must_be_who_it_says(one_docker: ADocker, tmp_path: Path) -> None:
    certificates = Path(__file__).parents[2] / "certs"
    (tmp_path / "ca.pem").write_bytes((certificates / "ca.pem").read_bytes())
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates / "server.pem")

    with over_tcp(one_docker, context) as address:
        environ = {"DOCKER_HOST": f"tcp://{address}", "DOCKER_TLS_VERIFY": "1"}
        assert engine_answers({**environ, "DOCKER_CERT_PATH": str(tmp_path)})
        with pytest.raises(TransportError, match="certificate"):
            resolved(Settings(environ={**environ, "DOCKER_CERT_PATH": "/nonexistent"}, timeout=5))
        with pytest.warns(InsecureRequestWarning):
            assert engine_answers({"DOCKER_HOST": f"tcp://{address}", "DOCKER_TLS": "1"})


def test_an_image_of_no_layers_can_be_named(one_docker: ADocker) -> None:
    config = b'{"os": "linux", "architecture": "amd64", "rootfs": {"type": "layers", "diff_ids": []}}'
    one_docker.images["empty:1"] = AnImage(config, [])

    with open_source("docker-daemon:empty:1", one_docker.settings()) as source:
        assert load_image(source).manifest.layers == ()
        assert isinstance(source.resolve(), Descriptor)

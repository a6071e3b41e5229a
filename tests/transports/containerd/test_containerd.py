"""The containerd transport against a containerd of the test's own: leases, resuming, silence, refusals, order."""

from __future__ import annotations

import dataclasses
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest

from eci_convert.errors import (
    AccessDeniedError,
    DigestMismatchError,
    LocalError,
    NotFoundError,
    TransportError,
    UploadLostError,
    UsageError,
)
from eci_convert.oci.descriptor import Descriptor
from eci_convert.oci.digest import Digest
from eci_convert.reading.blobs import load_document, open_blob
from eci_convert.reading.images import load_image
from eci_convert.streams.repeatable import SinglePassStream
from eci_convert.transports import open_sink, open_source
from eci_convert.transports.base import Sink, Source
from eci_convert.transports.containerd.names import RecordName
from eci_convert.transports.settings import Settings
from tests.support.fake_containerd import AContainerd, a_containerd
from tests.support.images import a_container, a_machine, an_image, an_index, copied

MIB = 1 << 20
BYTES = "application/octet-stream"


@pytest.fixture
def there(tmp_path: Path) -> Iterator[AContainerd]:
    with a_containerd(tmp_path) as containerd:
        yield containerd


def a_sink(there: AContainerd, timeout: float = 5) -> Sink:
    return open_sink("containerd:x.io/machine:1", dataclasses.replace(there.settings, timeout=timeout))


def a_source(there: AContainerd, timeout: float = 5) -> Source:
    return open_source("containerd:x.io/machine:1", dataclasses.replace(there.settings, timeout=timeout))


def first(log: list[str], line: str) -> int:
    return next(place for place, found in enumerate(log) if found.startswith(line))


def test_everything_is_leased_before_it_is_there_and_the_name_comes_last(there: AContainerd) -> None:
    index = an_index(a_machine(), a_container().platform("linux/arm64"))

    copied(index.build(), a_sink(there))

    for digest in index.build().blobs:
        assert first(there.log, f"Keep {digest}") < first(there.log, f"Commit {digest}")
    documents = [index.build().resolve().digest, *(image.descriptor().digest for image in index.images)]
    labelled = [first(there.log, f"Label {digest}") for digest in documents]
    assert max(labelled) == labelled[0] < first(there.log, "Create x.io/machine:1")
    assert there.log[-1] == "Release"
    assert there.leases == {}


def test_what_is_written_without_a_promise_is_leased_before_it_is_there(there: AContainerd) -> None:
    with a_sink(there) as sink:
        digest = sink.put(BYTES, [b"kernel"]).digest

    assert first(there.log, f"Keep {digest}") < first(there.log, f"Commit {digest}")


def test_an_image_that_lacks_a_blob_gets_no_name(there: AContainerd) -> None:
    image = a_machine()
    with a_sink(there) as sink:
        root = sink.put(image.media_type, [image.build().blobs[image.descriptor().digest]])

        with pytest.raises(NotFoundError, match="which the image"):
            sink.publish(root)

    assert there.images == {}


def test_an_index_and_its_images_get_the_labels_that_ctr_would_give_them(there: AContainerd) -> None:
    image = a_container()
    index = an_index(image)

    root = copied(index.build(), a_sink(there))

    manifest = image.manifest()
    assert there.labels[str(root.digest)] == {"containerd.io/gc.ref.content.m.0": str(image.descriptor().digest)}
    found = there.labels[str(image.descriptor().digest)]
    assert found["containerd.io/gc.ref.content.config"] == str(manifest.config.digest)
    for place, layer in enumerate(manifest.layers):
        assert found[f"containerd.io/gc.ref.content.l.{place}"] == str(layer.digest)


def test_what_is_read_is_leased_meanwhile(there: AContainerd) -> None:
    copied(a_machine().build(), a_sink(there))

    with a_source(there) as source:
        root = source.resolve()
        assert list(there.leases.values()) == [{str(root.digest)}]
        image = load_image(source)
        load_document(source, image.manifest.layers[0])
        [lease] = there.leases.values()

        assert {str(image.descriptor.digest), str(image.manifest.layers[0].digest)} <= lease
    assert there.leases == {}


def test_the_lease_is_given_back_after_an_error_and_its_loss_is_none(there: AContainerd) -> None:
    with pytest.raises(DigestMismatchError), a_sink(there) as sink:
        sink.put(BYTES, [b"lenrek"], digest=Digest.of(b"kernel"))
    assert there.leases == {}

    with a_sink(there) as sink:
        sink.put(BYTES, [b"kernel"])
        there.leases.clear()


@pytest.mark.parametrize("promised", [True, False])
def test_only_what_is_missing_is_sent(there: AContainerd, promised: bool) -> None:
    blob = bytes(range(256)) * (20 * MIB // 256)
    name = Digest.of(blob) if promised else f"from-{Digest.of(blob[:MIB])}"
    there.ingests[f"eci-convert-{name}"] = bytearray(blob[: 12 * MIB + 5])

    with a_sink(there) as sink:
        stored = sink.put(BYTES, [blob], digest=Digest.of(blob) if promised else None)

    assert stored.digest == Digest.of(blob)
    assert there.received == 8 * MIB - 5


@pytest.mark.parametrize("begun", [b"other" * (12 * MIB // 5), bytes(20 * MIB), bytes(21 * MIB)])
def test_other_content_is_not_added_to(there: AContainerd, begun: bytes) -> None:
    blob = bytes(20 * MIB - 1) + b"x"
    there.ingests[f"eci-convert-{Digest.of(blob)}"] = bytearray(begun)

    with a_sink(there) as sink:
        with pytest.raises(UploadLostError):
            sink.put(BYTES, [blob], digest=Digest.of(blob))
        assert there.ingests == {}
        sink.put(BYTES, [blob], digest=Digest.of(blob))

    assert there.blobs == {str(Digest.of(blob)): blob}


@pytest.mark.parametrize("error", [OSError, KeyboardInterrupt])
def test_nothing_is_left_of_a_pipe_that_broke(there: AContainerd, error: type[BaseException]) -> None:
    """Nobody could go on with it."""

    def broken() -> Iterator[bytes]:
        yield bytes(12 * MIB)
        raise error("broken")

    with a_sink(there) as sink, pytest.raises(error, match="broken"):
        sink.put(BYTES, SinglePassStream(broken()))

    assert there.ingests == {}


def test_little_is_begun_anew(there: AContainerd) -> None:
    there.ingests[f"eci-convert-{Digest.of(b'kernel')}"] = bytearray(b"other")

    with a_sink(there) as sink:
        sink.put(BYTES, [b"kernel"], digest=Digest.of(b"kernel"))

    assert there.blobs == {str(Digest.of(b"kernel")): b"kernel"}


def test_an_ingest_that_somebody_else_writes_is_not_waited_for(there: AContainerd) -> None:
    there.held.add(f"eci-convert-{Digest.of(b'kernel')}")

    with a_sink(there) as sink:
        sink.put(BYTES, [b"kernel"], digest=Digest.of(b"kernel"))

    assert str(Digest.of(b"kernel")) in there.blobs


def test_somebody_else_has_written_it_meanwhile(there: AContainerd, monkeypatch: pytest.MonkeyPatch) -> None:
    digest = Digest.of(b"kernel")
    there.held.add(f"eci-convert-{digest}")
    pauses = []

    def they_go_on(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 3:
            there.blobs[str(digest)] = b"kernel"

    monkeypatch.setattr(time, "sleep", they_go_on)
    with a_sink(there) as sink:
        assert sink.put(BYTES, [b"kernel"], digest=digest) == Descriptor.of(b"kernel", BYTES)

    assert len(pauses) == 3


@pytest.mark.parametrize("tag", ["", ":2"])
def test_a_digest_in_the_name_must_be_that_of_the_image(there: AContainerd, tag: str) -> None:
    image = a_machine()
    digest = image.descriptor().digest

    with pytest.raises(DigestMismatchError):
        copied(image.build(), open_sink(f"containerd:x.io/machine{tag}@{Digest.of(b'')}", there.settings))
    assert there.images == {}
    copied(image.build(), open_sink(f"containerd:x.io/machine{tag}@{digest}", there.settings))

    assert list(there.images) == [f"x.io/machine{tag or f'@{digest}'}"]
    for name in (f"x.io/machine{tag}@{digest}", f"x.io/machine{tag}"):
        with open_source(f"containerd:{name}", there.settings) as source:
            assert source.resolve().digest == digest


def test_content_that_is_there_is_not_even_read(there: AContainerd) -> None:
    there.blobs[str(Digest.of(b"kernel"))] = b"kernel"

    def never() -> Iterator[bytes]:
        raise AssertionError
        yield b""

    with a_sink(there) as sink:
        assert sink.put(BYTES, never(), digest=Digest.of(b"kernel")) == Descriptor.of(b"kernel", BYTES)


@pytest.mark.parametrize("silent", ["Stat", "Write", "Commit"])
def test_a_containerd_that_says_nothing_is_not_waited_for_when_writing(there: AContainerd, silent: str) -> None:
    there.silent.add(silent)
    began = time.monotonic()

    with pytest.raises(TransportError, match="timed out"), a_sink(there, timeout=0.5) as sink:
        sink.put(BYTES, [bytes(MIB)] * 10)

    assert time.monotonic() - began < 30


@pytest.mark.parametrize("silent", ["Read", "Chunk"])
def test_a_containerd_that_says_nothing_is_not_waited_for_when_reading(there: AContainerd, silent: str) -> None:
    image = an_image().layer(BYTES, bytes(4 * MIB))
    copied(image.build(), a_sink(there))
    there.silent.add(silent)

    with a_source(there, timeout=0.5) as source, pytest.raises(TransportError, match="timed out"):
        load_document(source, image.layers[0][0])


def test_a_slow_reader_is_not_a_silent_containerd(there: AContainerd) -> None:
    image = an_image().layer(BYTES, bytes(40 * MIB))
    copied(image.build(), a_sink(there))

    with a_source(there, timeout=0.5) as source, open_blob(source, image.layers[0][0]) as chunks:
        next(chunks)
        time.sleep(2)
        assert sum(map(len, chunks)) == 39 * MIB


def test_a_question_has_a_time_limit_too(there: AContainerd) -> None:
    there.silent.add("Get")

    with a_source(there, timeout=0.5) as source, pytest.raises(TransportError, match="timed out"):
        source.resolve()


@pytest.mark.parametrize(
    ("code", "says", "error"),
    [
        (grpc.StatusCode.PERMISSION_DENIED, "no", AccessDeniedError),
        (grpc.StatusCode.UNKNOWN, "write /x: no space left on device", LocalError),
        (grpc.StatusCode.INVALID_ARGUMENT, "bad name", UsageError),
        (grpc.StatusCode.INTERNAL, "panic\n\x1b[31m", TransportError),
        (grpc.StatusCode.FAILED_PRECONDITION, "unexpected commit size", TransportError),
    ],
)
def test_what_containerd_refuses_says_so_in_one_line(
    there: AContainerd, code: grpc.StatusCode, says: str, error: type[Exception]
) -> None:
    there.fails["Write"] = code, says

    with pytest.raises(error) as caught, a_sink(there) as sink:
        sink.put(BYTES, [bytes(MIB)] * 10)

    assert "\n" not in str(caught.value)
    assert "\x1b" not in str(caught.value)
    assert there.blobs == {}


def test_long_messages_are_taken(there: AContainerd) -> None:
    image = an_image().layer(BYTES, bytes(6 * MIB))
    copied(image.build(), a_sink(there))
    there.chunk = 6 * MIB

    with a_source(there) as source, open_blob(source, image.layers[0][0]) as chunks:
        assert sum(map(len, chunks)) == 6 * MIB


def test_a_name_moves_by_its_target_alone(there: AContainerd) -> None:
    copied(a_machine().build(), a_sink(there))

    copied(a_container().build(), a_sink(there))

    assert "Update x.io/machine:1 target" in there.log


def test_a_blob_that_is_on_other_platforms_alone_is_not_found(there: AContainerd) -> None:
    image = a_machine()
    copied(image.build(), a_sink(there))
    layer = image.layers[0][0]
    del there.blobs[str(layer.digest)]

    with a_source(there) as source, pytest.raises(NotFoundError, match="not found"):
        load_document(source, layer)


def test_no_thread_outlives_the_connection(there: AContainerd) -> None:
    before = set(threading.enumerate())

    copied(a_machine().build(), a_sink(there))

    assert "containerd-stalls" not in {thread.name for thread in set(threading.enumerate()) - before}


@pytest.mark.parametrize("settings", [Settings(namespace="a/b"), Settings(namespace="ü"), Settings(address="relative")])
def test_words_that_cannot_be_right_are_refused_at_once(settings: Settings) -> None:
    with pytest.raises(UsageError, match=r"is not a valid containerd namespace|is not an absolute path"):
        open_source("containerd:x", settings).resolve()


@pytest.mark.parametrize("text", ["x@sha256:12", "@sha256:" + 64 * "0", "x@y"])
def test_a_bad_digest_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="is not a digest"):
        RecordName.parse(text)


def test_a_digest_alone_is_no_name_to_write() -> None:
    with pytest.raises(UsageError, match="is a digest: an image needs a name"):
        open_sink("containerd:sha256:" + 64 * "0", Settings())


@pytest.mark.parametrize(
    ("name", "hint"),
    [("x.io/machine:11", "it has 'x.io/machine:1'"), ("ocii:layout:a", "did you mean 'oci:layout:a'?")],
)
def test_a_name_that_is_not_there_gets_the_nearest(there: AContainerd, name: str, hint: str) -> None:
    copied(a_machine().build(), a_sink(there))

    with pytest.raises(NotFoundError) as caught, open_source(f"containerd:{name}", there.settings) as source:
        source.resolve()

    assert hint in caught.value.hint
    assert "namespace" in caught.value.hint

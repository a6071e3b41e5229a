"""Images of several platforms under one name: made, added to, removed from, in every place that holds indexes."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from eci_convert.errors import CannotHoldError, NotFoundError, TransportError, UnsupportedImageError, UsageError
from eci_convert.oci import media_types
from eci_convert.oci.descriptor import Descriptor
from eci_convert.oci.digest import Digest
from eci_convert.oci.index import Index
from eci_convert.oci.platform import Platform, parse_platform
from eci_convert.operations.copy import copy
from eci_convert.operations.copy_request import CopyRequest
from eci_convert.operations.store import entries
from eci_convert.operations.store.index import add, create, remove
from eci_convert.operations.store.strategy import AppendOptions, Strategy
from eci_convert.operations.verify import verify_image
from eci_convert.reading.blobs import load_document
from eci_convert.reading.images import Documents, load_manifest, load_root, select_image
from eci_convert.transports import open_sink, open_source
from eci_convert.transports.base import Sink, SinkCapabilities, Source
from eci_convert.transports.memory import MemorySink, MemorySource, MemoryStore
from eci_convert.transports.settings import Settings
from tests.support.command_line import Run, one_line
from tests.support.fake_containerd import a_containerd
from tests.support.fake_registry.server import a_registry
from tests.support.images import KERNEL_TYPE, ImageBuilder, a_container, an_image, an_index
from tests.support.kraftkit_package import MULTI, stored

PLAIN = AppendOptions()
Open = Callable[[str], tuple[Source, Sink]]


def a_machine(platform: str | None, kernel: bytes = b"kernel") -> ImageBuilder:
    return an_image().platform(platform).layer(KERNEL_TYPE, kernel, role="kernel")


AMD64, ARM64 = a_machine("linux/amd64", b"amd64"), a_machine("linux/arm64", b"arm64")


@contextmanager
def in_memory(tmp_path: Path) -> Iterator[Open]:
    store = MemoryStore()
    yield lambda name: (MemorySource(store, name), MemorySink(store, name))


def at(pattern: str, settings: Settings) -> Open:
    return lambda name: (open_source(pattern.format(name), settings), open_sink(pattern.format(name), settings))


@contextmanager
def in_a_layout(tmp_path: Path) -> Iterator[Open]:
    yield at(f"oci:{tmp_path}/layout:{{}}", Settings())


@contextmanager
def in_an_archive(tmp_path: Path) -> Iterator[Open]:
    yield at(f"oci-archive:{tmp_path}/archive.tar:{{}}", Settings())


@contextmanager
def in_a_registry(tmp_path: Path) -> Iterator[Open]:
    with a_registry() as registry:
        yield at(f"docker://{registry.host}/acme/{{}}", Settings())


@contextmanager
def in_containerd(tmp_path: Path) -> Iterator[Open]:
    with a_containerd(tmp_path) as there:
        yield at("containerd:r.example/acme/{}", there.settings)


@pytest.fixture(
    params=[in_memory, in_a_layout, in_an_archive, in_a_registry, in_containerd], ids=lambda opened: opened.__name__
)
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Open]:
    opened: Callable[[Path], AbstractContextManager[Open]] = request.param
    with opened(tmp_path) as found:
        yield found


def done(place: Open, name: str, work: Callable[[Source, Sink], Any]) -> Any:
    source, sink = place(name)
    with source, sink:
        return work(source, sink)


def made(place: Open, *images: ImageBuilder, name: str = "m:1") -> None:
    done(place, name, lambda _, sink: create([image.build() for image in images], sink, None, PLAIN))


def added(
    place: Open, *images: ImageBuilder, name: str = "m:1", strategy: Strategy = Strategy.MERGE, **settings: Any
) -> None:
    how = AppendOptions(**settings)
    done(place, name, lambda before, sink: add([image.build() for image in images], sink, before, None, strategy, how))


def root(place: Open, name: str = "m:1") -> Index:
    with place(name)[0] as source:
        _, found = load_root(source)
        assert isinstance(found, Index)
        assert verify_image(source).ok, verify_image(source).problems
        return found


def platforms(place: Open, name: str = "m:1") -> list[str]:
    return [str(entry.platform) for entry in root(place, name).manifests]


def kernels(place: Open, name: str = "m:1") -> dict[str, bytes]:
    with place(name)[0] as source:
        found = {}
        for entry in root(place, name).manifests:
            image = select_image(Documents(source), entry, load_manifest(source, entry), None)
            found[str(entry.platform)] = load_document(source, image.manifest.layers[0])
        return found


def test_images_come_under_one_name_with_the_platforms_that_they_say(place: Open) -> None:
    made(place, AMD64, ARM64)

    assert kernels(place) == {"linux/amd64": b"amd64", "linux/arm64": b"arm64"}
    assert [entry.digest for entry in root(place).manifests] == [AMD64.descriptor().digest, ARM64.descriptor().digest]


def test_an_added_image_stands_beside_the_others(place: Open) -> None:
    made(place, AMD64)
    added(place, ARM64)

    assert kernels(place) == {"linux/amd64": b"amd64", "linux/arm64": b"arm64"}


def test_an_added_image_takes_the_place_of_the_one_of_its_platform(place: Open) -> None:
    made(place, AMD64, ARM64)
    added(place, a_machine("linux/amd64", b"newer"))

    assert kernels(place) == {"linux/arm64": b"arm64", "linux/amd64": b"newer"}


def test_an_index_is_made_where_there_is_none(place: Open) -> None:
    added(place, AMD64)

    assert platforms(place) == ["linux/amd64"]


def test_an_image_that_stands_alone_becomes_part_of_the_index(place: Open) -> None:
    done(place, "m:1", lambda _, sink: copy(AMD64.build(), sink))
    added(place, ARM64)

    assert kernels(place) == {"linux/amd64": b"amd64", "linux/arm64": b"arm64"}


def test_overwriting_keeps_none_of_the_others(place: Open) -> None:
    made(place, AMD64)
    added(place, ARM64, strategy=Strategy.OVERWRITE)

    assert platforms(place) == ["linux/arm64"]


def test_a_removed_image_is_gone_and_the_others_are_whole(place: Open) -> None:
    made(place, AMD64, ARM64)

    done(
        place, "m:1", lambda before, sink: remove(before, sink, platform=parse_platform("linux/amd64"), settings=PLAIN)
    )
    assert kernels(place) == {"linux/arm64": b"arm64"}

    digest = str(ARM64.descriptor().digest)
    done(place, "m:1", lambda before, sink: remove(before, sink, digest=digest, settings=PLAIN))
    with place("m:1")[0] as source:
        root, found = load_root(source)
        assert isinstance(found, Index)
        assert json.loads(load_document(source, root))["manifests"] == []


def test_nothing_of_the_place_changes_in_a_dry_run(place: Open) -> None:
    made(place, AMD64)
    before = root(place)

    added(place, ARM64, dry_run=True)
    done(
        place,
        "m:1",
        lambda before, sink: remove(
            before, sink, platform=parse_platform("linux/amd64"), settings=AppendOptions(dry_run=True)
        ),
    )

    assert root(place) == before


def in_one(*images: ImageBuilder, **annotations: str) -> tuple[MemoryStore, Callable[[], Index]]:
    """A store with an index of *images* as "m:1", and how to read that."""
    store = MemoryStore()
    create([image.build() for image in images], MemorySink(store, "m:1"), None, AppendOptions(annotations=annotations))

    def index() -> Index:
        _, found = load_root(MemorySource(store, "m:1"))
        assert isinstance(found, Index)
        return found

    return store, index


def put(
    store: MemoryStore, *sources: Source, platform: str = "", strategy: Strategy = Strategy.MERGE, **how: Any
) -> Any:
    wanted = parse_platform(platform) if platform else None
    return add(
        list(sources), MemorySink(store, "m:1"), MemorySource(store, "m:1"), wanted, strategy, AppendOptions(**how)
    )


def test_annotations_of_the_index_are_kept_and_added_to() -> None:
    store, index = in_one(AMD64, a="1", b="1")
    put(store, ARM64.build(), annotations={"b": "2", "c": "2"})
    assert index().annotations == {"a": "1", "b": "2", "c": "2"}

    remove(MemorySource(store, "m:1"), MemorySink(store, "m:1"), platform=parse_platform("linux/arm64"), settings=PLAIN)
    assert index().annotations == {"a": "1", "b": "2", "c": "2"}


def test_all_images_of_an_index_come_or_the_one_that_is_asked_for() -> None:
    source = replace(an_index(AMD64, ARM64).annotated(1, {"entry": "1"}), annotations={"index": "1"}).build()

    store, index = in_one(a_machine("linux/riscv64"))
    put(store, source, platform="linux/arm64")
    assert [str(entry.platform) for entry in index().manifests] == ["linux/riscv64", "linux/arm64"]

    put(store, source)
    assert [str(entry.platform) for entry in index().manifests] == ["linux/riscv64", "linux/amd64", "linux/arm64"]
    assert index().manifests[2].annotations == {"entry": "1"}
    assert index().annotations == {"index": "1"}


def test_an_image_listed_for_two_platforms_stays_listed_for_both() -> None:
    twice = an_index(AMD64, replace(AMD64, runs_on=parse_platform("linux/amd64")))
    listed = twice.index().manifests
    other = replace(listed[1], platform=parse_platform("linux/386"))
    source = twice.build()
    index_text = json.dumps(Index(manifests=(listed[0], other)).json()).encode()
    source.store.blobs[Digest.of(index_text)] = index_text
    source.store.names["image"] = Descriptor.of(index_text, media_types.OCI_INDEX)

    store, index = in_one(ARM64)
    put(store, source)
    put(store, a_machine("linux/amd64", b"newer").build())

    assert {str(entry.platform): entry.digest for entry in index().manifests} == {
        "linux/arm64": ARM64.descriptor().digest,
        "linux/386": AMD64.descriptor().digest,
        "linux/amd64": a_machine("linux/amd64", b"newer").descriptor().digest,
    }


def test_two_images_of_one_platform_at_once_are_refused_before_anything_is_sent() -> None:
    store = MemoryStore()
    two = [AMD64.build(), a_machine("linux/amd64", b"other").build("other")]

    with pytest.raises(UsageError, match="both for linux/amd64"):
        create(two, MemorySink(store, "m:1"), None, PLAIN)
    assert store == MemoryStore()

    create([AMD64.build(), AMD64.build()], MemorySink(store, "m:1"), None, PLAIN)
    assert len(load_root(MemorySource(store, "m:1"))[1].manifests) == 1  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("linux/arm", "linux/arm/v7", True),
        ("linux/arm/v6", "linux/arm/v7", False),
        ("linux/arm64", "linux/arm64/v8", True),
        ("linux/amd64", "linux/amd64/v2", False),
        ("linux/amd64", "freebsd/amd64", False),
    ],
)
def test_one_platform_in_two_spellings_is_one(one: str, other: str, same: bool) -> None:
    store, index = in_one(a_machine(one, b"one"))

    put(store, a_machine(other, b"other").build())

    assert len(index().manifests) == (1 if same else 2)


def test_features_make_platforms_differ() -> None:
    def entry(content: bytes, *features: str, version: str = "") -> Descriptor:
        platform = Platform(os="qemu", architecture="x86_64", os_features=features, os_version=version)
        return replace(Descriptor.of(content, media_types.OCI_MANIFEST), platform=platform)

    kept = (entry(b"1", "A=y", "B=y"), entry(b"2", "A=y"), entry(b"3", "A=y", version="0.16"))

    assert entries.merged(kept, (entry(b"4", "B=y", "A=y"),)) == (*kept[1:], entry(b"4", "B=y", "A=y"))


def test_what_buildkit_attests_comes_and_goes_with_its_image() -> None:
    attestation = an_image().platform("unknown/unknown").layer("application/vnd.in-toto+json", b"{}")
    notes = {"vnd.docker.reference.type": "attestation-manifest", "vnd.docker.reference.digest": ""}
    notes["vnd.docker.reference.digest"] = str(AMD64.descriptor().digest)
    source = an_index(AMD64, attestation, ARM64).annotated(1, notes).build()

    store, index = in_one(a_machine("linux/riscv64"))
    put(store, source, platform="linux/amd64")
    assert len(index().manifests) == 3
    assert attestation.descriptor().digest in store.blobs

    put(store, AMD64.build())
    assert len(index().manifests) == 3, "the same image again is no reason to forget what is attested of it"
    put(store, a_machine("linux/amd64", b"newer").build())
    assert [str(entry.platform) for entry in index().manifests] == ["linux/riscv64", "linux/amd64"]


def test_an_image_of_no_platform_needs_to_be_told_one() -> None:
    store, index = in_one(AMD64)

    with pytest.raises(UnsupportedImageError, match="does not say which platform"):
        put(store, a_machine(None).build())
    put(store, a_machine(None).build(), platform="linux/arm64")

    assert str(index().manifests[1].platform) == "linux/arm64"


def test_a_place_without_indexes_is_refused_at_once() -> None:
    store = MemoryStore()

    with pytest.raises(CannotHoldError, match="cannot hold an index"):
        create([AMD64.build()], MemorySink(store, "m:1", capabilities=SinkCapabilities(indexes=False)), None, PLAIN)
    with pytest.raises(CannotHoldError, match="holds container images alone"):
        create([AMD64.build()], MemorySink(store, "m:1", capabilities=SinkCapabilities(artifacts=False)), None, PLAIN)

    assert store == MemoryStore()


def test_docker_images_make_a_manifest_list_until_another_comes() -> None:
    docker = replace(a_container("gzip"), media_type=media_types.DOCKER_MANIFEST).platform("linux/amd64")
    store, index = in_one(docker)
    assert index().media_type == media_types.DOCKER_LIST

    put(store, ARM64.build())
    assert index().media_type == media_types.OCI_INDEX


def test_a_bundle_is_no_image() -> None:
    bundle = replace(an_index(AMD64), annotations={"io.cnab.runtime_version": "v1.0.0"}).build()

    with pytest.raises(UnsupportedImageError, match="bundle"):
        put(MemoryStore(), bundle)


def test_aborting_and_asking_concern_what_is_there() -> None:
    store, index = in_one(AMD64)
    asked: list[str] = []

    def choose() -> Strategy:
        asked.append("asked")
        return Strategy.OVERWRITE

    with pytest.raises(UsageError, match="there already"):
        put(store, ARM64.build(), strategy=Strategy.ABORT)
    with pytest.raises(UsageError, match="nobody can be asked"):
        put(store, ARM64.build(), strategy=Strategy.PROMPT)
    assert ARM64.descriptor().digest not in store.blobs
    put(store, ARM64.build(), strategy=Strategy.PROMPT, choose=choose)
    assert [str(entry.platform) for entry in index().manifests] == ["linux/arm64"]

    for strategy in (Strategy.ABORT, Strategy.PROMPT):
        put(MemoryStore(), AMD64.build(), strategy=strategy, choose=choose)
    assert asked == ["asked"]


@pytest.mark.parametrize(
    ("platform", "error", "says"),
    [("linux/s390x", NotFoundError, "no image for linux/s390x"), ("linux/arm", UsageError, "is 2 images of the index")],
)
def test_what_cannot_be_removed_is_said(platform: str, error: type[Exception], says: str) -> None:
    store, index = in_one(a_machine("linux/arm/v6"), a_machine("linux/arm/v5", b"5"))
    before = index()

    with pytest.raises(error, match=says):
        remove(MemorySource(store, "m:1"), MemorySink(store, "m:1"), platform=parse_platform(platform), settings=PLAIN)

    assert index() == before


def test_an_image_is_removed_by_the_beginning_of_its_id() -> None:
    store, index = in_one(AMD64, ARM64)
    source, sink = MemorySource(store, "m:1"), MemorySink(store, "m:1")
    amd64, arm64 = (image.descriptor().digest for image in (AMD64, ARM64))

    with pytest.raises(UsageError, match="is 2 images"):
        entries.without(
            [replace(AMD64.descriptor(), digest=Digest("sha256", "abc" + 61 * end)) for end in "01"], None, "abc"
        )
    with pytest.raises(NotFoundError):
        remove(source, sink, digest=("0" if amd64.hex[0] != "0" != arm64.hex[0] else "f") * 12, settings=PLAIN)
    remove(source, sink, digest=amd64.hex[:12], settings=PLAIN)

    assert [entry.digest for entry in index().manifests] == [arm64]


def test_a_name_that_somebody_else_changes_meanwhile_loses_nothing() -> None:
    store, index = in_one(AMD64)
    meanwhile = [a_machine("linux/riscv64"), a_machine("linux/s390x")]

    class Contested(MemorySink):
        """Others add their images just before ours is published."""

        def put(self, media_type: str, *content: Any, **promised: Any) -> Descriptor:
            stored = super().put(media_type, *content, **promised)
            if media_type == media_types.OCI_INDEX and meanwhile:
                put(self.store, meanwhile.pop().build())
            return stored

    add([ARM64.build()], Contested(store, "m:1"), MemorySource(store, "m:1"), None, Strategy.MERGE, PLAIN)

    assert {str(entry.platform) for entry in index().manifests} == {
        "linux/amd64", "linux/arm64", "linux/riscv64", "linux/s390x"
    }  # fmt: skip


def test_a_name_that_never_stands_still_is_given_up() -> None:
    store, _ = in_one(AMD64)
    numbers = iter(range(100))

    class Contested(MemorySink):
        def put(self, media_type: str, *content: Any, **promised: Any) -> Descriptor:
            stored = super().put(media_type, *content, **promised)
            if media_type == media_types.OCI_INDEX:
                put(self.store, a_machine("linux/riscv64", b"%d" % next(numbers)).build())
            return stored

    with pytest.raises(TransportError, match="changed"):
        add([ARM64.build()], Contested(store, "m:1"), MemorySource(store, "m:1"), None, Strategy.MERGE, PLAIN)


def test_a_target_joins_kraftkits_package_and_all_sizes_are_right() -> None:
    store = stored()
    before = load_root(MemorySource(store, "package"))[1]
    kernel = {"unikraft/bin/kernel": b"riscv"}
    image = (
        an_image()
        .platform("qemu/riscv64")
        .tar_layer(kernel, annotations={"org.unikraft.kernel.image": "/unikraft/bin/kernel"})
        .annotation("sh.kraftkit.version", "0.9")
    )

    sink, source = MemorySink(store, "package"), MemorySource(store, "package")
    packed = add([image.build()], sink, source, None, Strategy.MERGE, AppendOptions(name="127.0.0.1:5711/uk/gmulti:1"))

    found = packed.manifest
    assert isinstance(found, Index)
    assert isinstance(before, Index)
    assert [entry.digest for entry in found.manifests[:3]] == [entry.digest for entry in before.manifests]
    assert all(entry.size == len(store.blobs[entry.digest]) for entry in found.manifests)
    assert found.manifests[3].annotations == {"sh.kraftkit.version": "0.9"}
    assert found.annotations == before.annotations
    assert verify_image(source).ok


def test_a_package_made_of_targets_is_one_for_kraftkit() -> None:
    """Its index bears the marker, and the repository without tag, whatever port the registry has (K4, K5)."""
    store = MemoryStore()
    targets = [MemorySource(stored(), "package")]

    packed = create(targets, MemorySink(store, "new"), None, AppendOptions(name="127.0.0.1:5000/uk/new:2"))

    assert packed.manifest.annotations == json.loads(MULTI["index"])["annotations"] | {
        "io.containerd.image.name": "127.0.0.1:5000/uk/new:2",
        "org.opencontainers.image.ref.name": "127.0.0.1:5000/uk/new",
    }


def test_ironcores_images_keep_names_of_their_own_in_a_new_index() -> None:
    """Their platforms are told by the index that they were in alone: nothing in such an image says one."""
    store, target = MemoryStore(), MemoryStore()
    copy(an_index(AMD64, ARM64).build(), MemorySink(store, "m:1"), CopyRequest(format="ironcore", all_platforms=True))

    with pytest.raises(UnsupportedImageError, match="which platform"):
        create([MemorySource(store, "m:1-arm64")], MemorySink(target, "new"), None, PLAIN)
    create([MemorySource(store, "m:1")], MemorySink(target, "new"), None, PLAIN)

    assert set(target.names) == {"new", "new-amd64", "new-arm64"}
    assert target.names["new-arm64"].digest == store.names["m:1-arm64"].digest


@pytest.fixture
def run(capfd: pytest.CaptureFixture[str]) -> Run:
    return Run(capfd)


@pytest.fixture
def kernel(tmp_path: Path) -> Path:
    path = tmp_path / "kernel"
    path.write_bytes(b"kernel")
    return path


def test_three_targets_are_packed_one_after_the_other(run: Run, kernel: Path, tmp_path: Path) -> None:
    layout, name = tmp_path / "layout", "127.0.0.1:5000/uk/hello:1"
    for plat, architecture in (("qemu", "x86_64"), ("fc", "x86_64"), ("xen", "arm64"), ("fc", "x86_64")):
        words = (
            "--format",
            "unikraft",
            "--plat",
            plat,
            "--arch",
            architecture,
            "--append",
            "--annotation",
            f"last={plat}",
        )
        run("push", "--remote", layout, name, "--kernel", kernel, *words)

    said = run("inspect", f"oci:{layout}:{name}", "--platform", "xen/arm64", "--json").json
    assert said["platforms"] == ["qemu/x86_64", "xen/arm64", "fc/x86_64"]
    assert said["dialect"] == "unikraft"
    index = json.loads((layout / "blobs/sha256" / said["digest"][7:]).read_bytes())
    assert index["annotations"]["org.opencontainers.image.ref.name"] == "127.0.0.1:5000/uk/hello"
    assert index["annotations"]["last"] == "fc"
    run("verify", f"oci:{layout}:{name}")


def test_a_build_is_appended_and_ironcores_images_have_their_names(run: Run, kernel: Path, tmp_path: Path) -> None:
    destination = f"oci:{tmp_path}/layout:r.example/m:1"
    for architecture in ("amd64", "arm64"):
        words = ("--format", "ironcore", "--platform", f"linux/{architecture}", "--append=merge")
        digest = run("build", "--to", destination, "--kernel", kernel, *words, "--json").json["digest"]

    assert run("inspect", destination, "--platform", "linux/amd64", "--json").json["digest"] == digest
    for architecture in ("amd64", "arm64"):
        assert run("inspect", f"{destination}-{architecture}", "--json").json["dialect"] == "ironcore"


@pytest.mark.parametrize("verb", ["push", "build"])
def test_appending_can_be_refused_and_rehearsed(verb: str, run: Run, kernel: Path, tmp_path: Path) -> None:
    place = ("--remote", tmp_path / "layout", "m:1") if verb == "push" else ("--to", f"oci:{tmp_path}/layout:m:1")
    words = (verb, *place, "--kernel", kernel)
    run(*words, "--append")
    before = (tmp_path / "layout/index.json").read_bytes()

    one_line(run(*words, "--append=abort", exits=2), "there already")
    one_line(run(*words, "--append=prompt", exits=2), "terminal")
    run(*words, "--append=overwrite", "--platform", "linux/s390x", "--dry-run")

    assert (tmp_path / "layout/index.json").read_bytes() == before
    run(*words, "--append=overwrite", "--platform", "linux/s390x")
    assert run("inspect", f"oci:{tmp_path}/layout:m:1", "--json").json["platforms"] == ["linux/s390x"]


def test_the_command_says_what_it_did_and_what_it_cannot(run: Run, kernel: Path, tmp_path: Path) -> None:
    layout = f"oci:{tmp_path}/layout"
    for architecture in ("amd64", "arm64"):
        run("build", "--to", f"{layout}:{architecture}", "--kernel", kernel, "--platform", f"linux/{architecture}")

    said = run("index", "create", f"{layout}:i", f"{layout}:amd64", f"{layout}:arm64", "--annotation", "a=b", "--json")
    digest = run("inspect", f"{layout}:i", "--platform", "linux/arm64", "--json").json["digest"]
    assert said.json["digest"] == digest
    out = run("index", "remove", f"{layout}:i", "--platform", "linux/arm64", "--digest-file", tmp_path / "digest").out
    assert out == f"Removed from {layout}:i with digest {(tmp_path / 'digest').read_text()}"
    assert run("index", "add", f"{layout}:i", f"{layout}:arm64").out.endswith(f"{digest}\n")

    one_line(run("index", "remove", f"{layout}:i", "--platform", "linux/s390x", exits=4), "linux/s390x")
    one_line(run("index", "remove", f"{layout}:i", exits=2), "--platform")
    one_line(run("index", "remove", f"{layout}:i", "--digest", "sha256:12", exits=4), "sha256:12")
    one_line(run("index", "remove", f"{layout}:i", "--digest", "nothing", exits=2), "digest")
    one_line(run("index", "remove", f"{layout}:amd64", "--platform", "linux/amd64", exits=8), "no index")
    one_line(run("index", "remove", f"{layout}:nope", "--platform", "linux/amd64", exits=4), "nope")
    one_line(run("index", "add", f"{layout}:i", f"{layout}:nope", exits=4), "nope")
    one_line(run("index", "create", f"{layout}:i@{digest}", f"{layout}:amd64", exits=2), "digest")
    one_line(run("index", "create", "docker-daemon:i", f"{layout}:amd64", exits=8), "cannot hold an index")
    run("index", "remove", f"{layout}:i", "--platform", "linux/amd64", "--dry-run")
    assert run("inspect", f"{layout}:i", "--platform", "linux/amd64", "--json").json["digest"] == digest


@pytest.mark.parametrize(
    ("typed", "exits", "left"),
    [
        ("overwrite\n", 0, ["linux/arm64"]),
        ("what?\n\nm\n", 0, ["linux/amd64", "linux/arm64"]),
        ("abort\n", 2, ["linux/amd64"]),
        ("", 2, ["linux/amd64"]),
    ],
)
def test_somebody_at_a_terminal_is_asked(
    typed: str, exits: int, left: list[str], run: Run, kernel: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    place = f"oci:{tmp_path}/layout:m:1"
    run("build", "--to", place, "--kernel", kernel, "--platform", "linux/amd64", "--append")
    monkeypatch.setattr("sys.stdin", Terminal(typed))

    words = ("build", "--to", place, "--kernel", kernel, "--platform", "linux/arm64", "--append=prompt", "--json")
    said = run(*words, exits=exits)

    assert "what becomes of it? [merge|overwrite|abort]: " in said.err
    assert not said.out or said.json["digest"]
    first = left[0]
    assert run("inspect", place, "--platform", first, "--json").json["platforms"] == left


def test_options_may_stand_before_the_command(run: Run, kernel: Path, tmp_path: Path) -> None:
    run("build", "--to", f"oci:{tmp_path}/l:a", "--kernel", kernel)

    run("--progress", "none", "index", "create", f"oci:{tmp_path}/l:i", f"oci:{tmp_path}/l:a")

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest

from eci_convert.errors import LimitExceededError, UnsupportedImageError, UsageError
from eci_convert.oci import media_types
from eci_convert.oci.descriptor import Descriptor
from eci_convert.oci.digest import Digest
from eci_convert.oci.index import Index, candidates, select
from eci_convert.oci.manifest import to_json
from eci_convert.oci.platform import Platform, host_platform, matches, parse_platform
from eci_convert.operations.copy import copy
from eci_convert.operations.copy_request import CopyRequest
from eci_convert.operations.verify import verify_image
from eci_convert.reading.images import load_image
from eci_convert.transports.memory import MemorySink, MemorySource, MemoryStore
from tests.support.images import an_image, an_index


def entry(platform: str | None, number: int = 0, **annotations: str) -> Descriptor:
    words = (platform or "/").split("/")
    found = Platform(os=words[0], architecture=words[1], variant="".join(words[2:])) if platform else None
    return Descriptor(
        media_type=media_types.OCI_MANIFEST,
        digest=Digest.of(f"{platform}{number}".encode()),
        size=1,
        platform=found,
        annotations=annotations,
    )


def chosen(*platforms: str | None, wanted: str | None = None) -> str | None:
    index = Index(manifests=tuple(entry(platform, number) for number, platform in enumerate(platforms)))
    found = select(index, parse_platform(wanted) if wanted else None)
    return str(found.platform) if found.platform else None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("linux/amd64", "linux/amd64"),
        ("linux/x86_64", "linux/amd64"),
        ("linux/aarch64", "linux/arm64"),
        ("linux/arm/v7", "linux/arm/v7"),
        ("qemu/x86_64", "qemu/amd64"),
        ("Linux/X86_64", "linux/amd64"),
        ("linux/amd64/v1", "linux/amd64"),
        ("linux/amd64/v3", "linux/amd64/v3"),
        ("linux/i386", "linux/386"),
        ("linux/arm", "linux/arm"),
        ("linux/arm/7", "linux/arm/v7"),
        ("linux/armhf", "linux/arm"),
        ("linux/armel", "linux/arm/v6"),
        ("linux/armv7l", "linux/arm"),
        ("linux/armv6l", "linux/arm/v6"),
        ("linux/arm64/v8", "linux/arm64/v8"),
        ("linux/arm64/8", "linux/arm64/v8"),
        ("linux/aarch64/v9", "linux/arm64/v9"),
        ("macos/arm64", "darwin/arm64"),
        ("linux/ppc64le/power9", "linux/ppc64le/power9"),
    ],
)
def test_a_platform_is_read_as_users_spell_it(text: str, expected: str) -> None:
    assert str(parse_platform(text)) == expected


@pytest.mark.parametrize(
    "text", ["", "linux", "linux/", "/amd64", "a/b/c/d", "linux/am d64", "linux/amd64\n", "ä/b", "*/*"]
)
def test_what_is_no_platform_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="is not a platform"):
        parse_platform(text)


@pytest.mark.parametrize(
    ("platforms", "wanted", "expected"),
    [
        (["linux/amd64", "linux/arm64"], "linux/arm64", "linux/arm64"),
        (["linux/s390x"], None, "linux/s390x"),
        ([None], None, None),
        (["linux/arm/v6", "linux/arm/v7"], "linux/arm/v7", "linux/arm/v7"),
        (["linux/arm", "linux/arm/v7"], "linux/arm/v7", "linux/arm/v7"),
        (["linux/arm/v7", "linux/arm"], "linux/arm", "linux/arm"),
        (["linux/arm64/v8"], "linux/arm64", "linux/arm64/v8"),
        (["linux/arm64"], "linux/arm64/v8", "linux/arm64"),
        (["windows/amd64", "linux/amd64"], "linux/amd64", "linux/amd64"),
        (["qemu/x86_64", "fc/x86_64"], "fc/x86_64", "fc/x86_64"),
        (["unknown/unknown", "linux/s390x"], None, "linux/s390x"),
        (["linux/arm/v5", "linux/arm/v7"], "linux/arm", "linux/arm/v7"),
        (["linux/arm/v5", "linux/arm/v6"], "linux/arm", "linux/arm/v6"),
        (["linux/arm/v8", "linux/arm/v6"], "linux/arm", "linux/arm/v6"),
        (["linux/arm/v5", "linux/arm/v7", "linux/arm/v8"], "linux/arm/v8", "linux/arm/v8"),
        (["linux/arm/v5", "linux/arm/v6"], "linux/arm/v7", "linux/arm/v6"),
        (["linux/arm/v6", "linux/armhf"], "linux/arm", "linux/armhf"),
        (["linux/armhf", "linux/armel"], "linux/arm/v6", "linux/armel"),
        (["linux/arm", "linux/arm/v6"], "linux/arm/v6", "linux/arm/v6"),
        (["linux/arm64/v9", "linux/arm64/v8"], "linux/arm64", "linux/arm64/v8"),
        (["linux/arm64/v8", "linux/arm64/v9"], "linux/arm64/v9", "linux/arm64/v9"),
        (["linux/arm64/v8.1", "linux/arm64/v8.5", "linux/arm64/v9.1"], "linux/arm64/v9", "linux/arm64/v8.5"),
        (["linux/arm64"], "linux/arm64/v9", "linux/arm64"),
        (["linux/amd64", "linux/amd64/v2", "linux/amd64/v4"], "linux/amd64/v3", "linux/amd64/v2"),
        (["linux/amd64/v3", "linux/amd64/v1"], "linux/amd64", "linux/amd64/v1"),
        (["linux/x86_64", "linux/amd64/v3"], "linux/amd64", "linux/x86_64"),
        (["linux/ppc64le/power8", "linux/ppc64le/power9"], "linux/ppc64le/power9", "linux/ppc64le/power9"),
    ],
)
def test_the_entry_that_suits_is_chosen(platforms: list[str | None], wanted: str | None, expected: str | None) -> None:
    assert chosen(*platforms, wanted=wanted) == expected


@pytest.mark.parametrize(
    ("platforms", "wanted"),
    [
        ([], None),
        ([], "linux/amd64"),
        (["unknown/unknown"], None),
        (["linux/amd64"], "linux/arm64"),
        (["linux/arm/v7"], "linux/arm/v6"),
        (["linux/arm"], "linux/arm/v6"),
        (["linux/arm/v8"], "linux/arm"),
        (["linux/arm64/v9"], "linux/arm64"),
        (["linux/arm64/v9"], "linux/arm64/v8"),
        (["linux/amd64/v2"], "linux/amd64"),
        (["linux/386"], "linux/amd64"),
        (["linux/arm/v7"], "linux/arm64"),
        (["windows/s390x", "windows/ppc64le"], None),
        ([None], "linux/amd64"),
        ([None, None], None),
    ],
)
def test_where_nothing_suits_it_is_said_what_there_is(platforms: list[str | None], wanted: str | None) -> None:
    with pytest.raises(UnsupportedImageError) as caught:
        chosen(*platforms, wanted=wanted)

    for platform in platforms:
        if platform and "unknown" not in platform:
            assert platform in str(caught.value)
    assert "--platform" in caught.value.__notes__[0]


def test_of_several_that_suit_the_first_is_chosen() -> None:
    index = Index(manifests=(entry("linux/amd64", 1), entry("linux/amd64", 2)))

    assert select(index, parse_platform("linux/amd64")) == index.manifests[0]


def marked(number: int, artifact_type: str = "", **annotations: str) -> Descriptor:
    return replace(entry("linux/x86_64", number, **annotations), artifact_type=artifact_type)


@pytest.mark.parametrize(
    "entries",
    [
        (marked(1, disktype="applehv"), marked(2, disktype="qemu")),
        (marked(1), marked(2, "application/vnd.diskimage.qcow2")),
        (marked(1, "application/vnd.diskimage.raw"), marked(2, "application/vnd.diskimage.qcow2")),
        tuple(marked(number, disktype=str(number)) for number in range(40)),
    ],
)
def test_of_several_that_differ_none_is_chosen_and_all_are_named(entries: tuple[Descriptor, ...]) -> None:
    with pytest.raises(UnsupportedImageError, match=f"{len(entries)} different images for linux/amd64") as caught:
        select(Index(manifests=entries), parse_platform("linux/amd64"))

    for one in entries[:8]:
        assert str(one.digest) in str(caught.value)
        assert all(value in str(caught.value) for value in (one.artifact_type, *one.annotations.values()))
    assert len(str(caught.value)) < 4000
    assert "sha256" in caught.value.__notes__[0]


@pytest.mark.parametrize(
    "entries",
    [
        (marked(1, disktype="qemu"), marked(2, disktype="qemu")),
        (
            marked(1, **{"org.opencontainers.image.ref.name": "a"}),
            marked(2, **{"org.opencontainers.image.version": "1"}),
        ),
        (marked(1, disktype="qemu"), marked(1, disktype="applehv")),
    ],
)
def test_names_and_versions_make_no_difference_nor_does_one_image_that_is_listed_twice(
    entries: tuple[Descriptor, ...],
) -> None:
    assert select(Index(manifests=entries), parse_platform("linux/amd64")) == entries[0]


def test_what_differs_by_its_variant_is_chosen_by_it() -> None:
    entries = (replace(entry("linux/arm/v6", a="1"), artifact_type="x"), entry("linux/arm/v7", b="2"))

    assert select(Index(manifests=entries), parse_platform("linux/arm")) == entries[1]


def test_of_several_for_nobody_in_particular_what_differs_is_not_chosen() -> None:
    own = str(host_platform())

    with pytest.raises(UnsupportedImageError, match="different images"):
        select(Index(manifests=(entry(own, 1, disktype="qemu"), entry(own, 2, disktype="hyperv"))), None)


def test_of_several_for_nobody_in_particular_the_one_for_this_computer_is_chosen() -> None:
    own = str(host_platform())
    others = [name for name in ("linux/s390x", "linux/ppc64le", "windows/amd64") if name != own]

    assert chosen(*others, own) == own


def test_attestations_and_strange_things_are_no_images() -> None:
    index = Index(
        manifests=(
            entry("linux/amd64"),
            entry("unknown/unknown", 1),
            replace(entry("linux/amd64", 2), annotations={"vnd.docker.reference.type": "attestation-manifest"}),
            replace(entry("linux/amd64", 3), media_type="application/vnd.example+json"),
        )
    )

    assert candidates(index) == index.manifests[:1]


@pytest.mark.parametrize(
    ("offered", "asked", "expected"),
    [
        ("linux/amd64", "linux/amd64", True),
        ("linux/x86_64", "linux/amd64", True),
        ("linux/amd64", "windows/amd64", False),
        ("linux/arm/v7", "linux/arm", True),
        ("linux/arm/v6", "linux/arm/v7", True),
        ("linux/arm/v7", "linux/arm/v6", False),
    ],
)
def test_a_platform_matches_what_it_can_run(offered: str, asked: str, expected: bool) -> None:
    found = entry(offered).platform
    assert found is not None
    assert matches(found, parse_platform(asked)) is expected


def nested(levels: int) -> MemorySource:
    image = an_image().platform("linux/s390x")
    store = MemoryStore(dict(image.contents()), {})
    found = image.descriptor()
    for _ in range(levels):
        text = to_json(Index(manifests=(found,)))
        found = Descriptor.of(text, media_types.OCI_INDEX)
        store.blobs[found.digest] = text
    store.names["image"] = found
    return MemorySource(store)


def test_an_index_in_an_index_is_followed_but_not_for_ever() -> None:
    for levels in range(4):
        assert str(load_image(nested(levels)).platform) == "linux/s390x"
    with pytest.raises(LimitExceededError, match="nested more than 4 deep"):
        load_image(nested(20))


def test_an_image_is_chosen_among_those_of_an_index_in_an_index() -> None:
    images = [an_image().platform(f"linux/{word}") for word in ("amd64", "arm64", "s390x")]
    blobs = {digest: blob for image in images for digest, blob in image.contents().items()}
    within = to_json(Index(manifests=tuple(image.descriptor() for image in images[1:])))
    inner = Descriptor.of(within, media_types.OCI_INDEX)
    text = to_json(Index(manifests=(images[0].descriptor(), inner)))
    root = Descriptor.of(text, media_types.OCI_INDEX)
    source = MemorySource(MemoryStore({**blobs, inner.digest: within, root.digest: text}, {"image": root}))

    for image in images:
        assert load_image(source, image.runs_on).descriptor.digest == image.descriptor().digest
        sink = MemorySink(MemoryStore({}, {}))
        assert copy(source, sink, CopyRequest(platform=image.runs_on)).descriptor.digest == image.descriptor().digest
    assert verify_image(source).images == 3


def test_a_wide_index_is_not_read_through() -> None:
    images = [an_image().platform("linux/s390x").label("n", str(number)) for number in range(500)]
    source = an_index(an_image().platform("linux/amd64"), *images).build()
    fetched: list[Digest] = []
    original = source.fetch

    class Counting(MemorySource):
        @contextmanager
        def fetch(self, blob: Descriptor, skip: int = 0) -> Iterator[Iterable[bytes]]:
            fetched.append(blob.digest)
            with original(blob, skip) as chunks:
                yield chunks

    load_image(Counting(source.store), parse_platform("linux/amd64"))

    assert len(fetched) == 3

"""What holds for every dialect that can be written, and for every pair of them."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from eci_convert import dialects
from eci_convert.compression.codec import Codec
from eci_convert.dialects import READERS, TAR_LAYERS, WRITERS, read_with, writer
from eci_convert.errors import CannotHoldError, EciError, UnknownDialectError, UsageError
from eci_convert.model import Artifact, DiskType, Memory, Part, Role, part_label
from eci_convert.pack.image import ImageOrigin, pack
from eci_convert.transports.memory import MemorySink, MemorySource, MemoryStore
from tests.support.machines import PLAIN, TERMS, a_whole_machine, contents, image, machines, part, written

NAMED = {"artifacts": "eci-artifacts", "legacy": "eci-legacy", "onmetal": "ironcore"}
"""What the writers' images are read as, where it is not the writer's own name."""

HELD = {
    "artifacts": set(Role),
    "legacy": set(Role),
    "ironcore": {Role.KERNEL, Role.INITRD, Role.ROOT_DISK},
    "onmetal": {Role.KERNEL, Role.INITRD, Role.ROOT_DISK},
    "unikraft": {Role.KERNEL, Role.INITRD},
    "containerdisk": {Role.KERNEL, Role.INITRD, Role.ROOT_DISK},
    "kubevirt": {Role.ROOT_DISK, Role.EXTRA_DISK, Role.CONFIG},
}
NEEDED = {
    "onmetal": {Role.KERNEL, Role.INITRD, Role.ROOT_DISK},
    "unikraft": {Role.KERNEL},
    "containerdisk": {Role.ROOT_DISK},
    "kubevirt": {Role.ROOT_DISK},
}


def fitting(machine: Artifact, *formats: str) -> Artifact | None:
    """As much of *machine* as all of *formats* hold, with the parts that they do not do without; None: nothing."""
    held = set.intersection(*(HELD[each] for each in formats))
    needed = set.union(set(), *(NEEDED.get(each, set()) for each in formats))
    if not needed <= held:
        return None
    kept = [
        replace(each, disk_type=DiskType.RAW if each.disk_type else None) for each in machine.parts if each.role in held
    ]
    kept += [part(role, "made-up", b"needed", DiskType.RAW if role is Role.ROOT_DISK else None)
             for role in needed if not machine.part(role)]  # fmt: skip
    return Artifact(parts=tuple(kept), command_line=machine.command_line) if kept else None


def test_every_writer_is_tested_here() -> None:
    assert set(HELD) == set(WRITERS)
    assert {NAMED.get(each, each) for each in WRITERS} | {"labels"} == set(READERS)


@pytest.mark.parametrize("format", WRITERS)
def test_a_format_says_whether_it_needs_sizes_before_bytes(format: str) -> None:
    fits = fitting(a_whole_machine(), format)
    assert fits
    recipes = WRITERS[format](fits, TERMS).recipes

    assert {recipe.entry is not None for recipe in recipes} == {format in TAR_LAYERS}


@pytest.mark.parametrize("format", WRITERS)
@settings(max_examples=40, deadline=None)
@given(machine=machines())
def test_what_is_written_is_read_back(format: str, machine: Artifact) -> None:
    fits = fitting(machine, format)
    if fits is None:
        return
    source, _ = written(fits, format)

    name, found = dialects.read(image(source))

    labelled = format == "containerdisk" and (fits.part(Role.KERNEL) or fits.part(Role.INITRD))
    assert name == ("labels" if labelled else NAMED.get(format, format))
    assert contents(source, found) == contents(source, fits)
    assert found.command_line == fits.command_line


@pytest.mark.parametrize("format", WRITERS)
@pytest.mark.parametrize("codec", ["none", "gzip"])
def test_the_same_parts_make_the_same_image(format: str, codec: str) -> None:
    fits = fitting(a_whole_machine("quiet"), format)
    assert fits

    first, second = (written(fits, format, codec=Codec.parse(codec))[1] for _ in range(2))

    assert first.descriptor == second.descriptor


@pytest.mark.parametrize("target", WRITERS)
@pytest.mark.parametrize("origin", WRITERS)
@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(machine=machines(), codec=st.sampled_from(["none", "gzip", "zstd"]))
def test_what_two_dialects_hold_goes_from_one_to_the_other(
    origin: str, target: str, machine: Artifact, codec: str
) -> None:
    fits = fitting(machine, origin, target)
    if fits is None:
        return
    source, _ = written(fits, origin, codec=Codec.parse(codec))
    known = typed(dialects.read(image(source))[1])

    store = MemoryStore()
    pack(
        WRITERS[target](known, TERMS),
        MemorySink(store),
        codec=PLAIN,
        origin=ImageOrigin(source=source, image=image(source)),
    )
    found = dialects.read(image(MemorySource(store)))[1]

    assert contents(MemorySource(store), found) == contents(source, fits)
    assert found.command_line == fits.command_line


def typed(machine: Artifact) -> Artifact:
    """*machine*, its disks said to be raw where their dialect did not say: made-up bytes do not tell."""
    parts = (
        replace(each, disk_type=each.disk_type or DiskType.RAW)
        if each.role in (Role.ROOT_DISK, Role.EXTRA_DISK)
        else each
        for each in machine.parts
    )
    return replace(machine, parts=tuple(parts))


@pytest.mark.parametrize("format", WRITERS)
@pytest.mark.parametrize("each", a_whole_machine().parts, ids=lambda each: each.name)
def test_a_part_without_a_place_is_named(format: str, each: Part) -> None:
    needed = [other for other in a_whole_machine().parts if other.role in NEEDED.get(format, set()) - {each.role}]
    machine = Artifact(parts=(*needed, each))
    if each.role in HELD[format] and (each.disk_type in (DiskType.RAW, None) or format in ("artifacts", "legacy")):
        WRITERS[format](machine, TERMS)
        return

    if (each.role, each.index, format) == (Role.EXTRA_DISK, 1, "kubevirt"):
        assert dialects.read(image(written(machine, format)[0]))[1].part(each.role, each.index)
        return
    with pytest.raises(CannotHoldError) as caught:
        WRITERS[format](machine, TERMS)
    assert part_label(each) in str(caught.value) or each.role is Role.OTHER
    assert each.name in str(caught.value)


@pytest.mark.parametrize("format", NEEDED)
def test_a_part_that_is_needed_is_asked_for(format: str) -> None:
    machine = Artifact(parts=tuple(each for each in a_whole_machine().parts if each.role is Role.INITRD))

    with pytest.raises(CannotHoldError, match=r"there is none|has no place for"):
        WRITERS[format](machine, TERMS)


@settings(deadline=None)
@given(machine=machines(types=st.none()))
def test_a_disk_whose_type_nobody_says_is_told_by_its_bytes(machine: Artifact) -> None:
    head = b"QFI\xfb" + (3).to_bytes(4, "big")
    parts = tuple(
        replace(each, locator=Memory(content=head + each.name.encode())) if "disk" in each.role else each
        for each in machine.parts
    )
    source, _ = written(replace(machine, parts=parts), "artifacts")

    found = dialects.read(image(source))[1]

    assert {each.disk_type for each in found.parts if "disk" in each.role} <= {DiskType.QCOW2}


@pytest.mark.parametrize("format", ["artifacts", "kubevirt"])
def test_a_disk_that_could_be_anything_is_refused_where_its_type_matters(format: str) -> None:
    machine = Artifact(parts=(part(Role.ROOT_DISK, "r", b"anything"),))

    with pytest.raises(CannotHoldError, match="root disk 'disk-root-r'"):
        written(machine, format)
    assert dialects.read(image(written(machine, "legacy")[0]))[1].parts[0].disk_type is None


def test_names_of_dialects_that_are_none_are_refused() -> None:
    with pytest.raises(UsageError, match="vmware"):
        writer("vmware")
    with pytest.raises(UsageError, match="vmware"):
        read_with("vmware", image(written(a_whole_machine(), "legacy")[0]))
    with pytest.raises(UnknownDialectError):
        read_with("ironcore", image(written(a_whole_machine(), "legacy")[0]))


def test_a_dialect_that_is_named_is_read_as_that() -> None:
    source, _ = written(a_whole_machine(), "legacy")

    name, found = read_with("labels", image(source))

    assert name == "labels"
    assert contents(source, found) == contents(source, a_whole_machine())


@settings(deadline=None)
@given(texts=st.dictionaries(st.sampled_from(sorted({
    "org.lfedge.eci.artifact.kernel", "org.lfedge.eci.artifact.disk-1", "org.opencontainers.image.title",
    "org.lfedge.eci.role", "org.lfedge.eci.mediaType", "org.unikraft.kernel.image", "sh.kraftkit.version",
    "io.kubevirt.disk.name", "io.kubevirt.disk.size", "io.eci-convert.disk", "org.lfedge.eci.other"})), st.text()),
    media_type=st.sampled_from([
        "application/vnd.oci.image.layer.v1.tar+gzip", "application/vnd.lfedge.disk.layer.v1+raw",
        "application/vnd.kubevirt.disk.raw+zstd", "application/vnd.ironcore.image.iso", ""]))  # fmt: skip
def test_hostile_documents_end_in_an_answer_or_in_one_clean_error(texts: dict[str, str], media_type: str) -> None:
    from eci_convert.oci.descriptor import Descriptor
    from tests.support.machines import an_image_of

    hostile = an_image_of([Descriptor.of(b"x", media_type, texts)], labels=texts, annotations=texts, entry=texts)

    try:
        found = dialects.read(hostile)[1].parts
    except EciError as error:
        message, found = str(error), ()
    else:
        message = ""
    assert "\n" not in message
    assert all("/" not in each.name and each.name not in ("", ".", "..") for each in found)

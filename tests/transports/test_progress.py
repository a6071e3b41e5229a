"""What every place reports of what it does: the phase a part is in, and what is being waited for."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from eci_convert.dialects.blueprint import WriteOptions
from eci_convert.oci.platform import parse_platform
from eci_convert.operations.copy import copy
from eci_convert.operations.copy_request import CopyRequest
from eci_convert.operations.extract import extract
from eci_convert.operations.extract_request import ExtractRequest
from eci_convert.operations.push import PushRequest, push
from eci_convert.options import TransferOptions
from eci_convert.progress import Event, Phase, Plan, PlanEnded, Relabelled, Reused, Wait, WaitEnded
from eci_convert.reading.local_parts import Disk, artifact_from_parts
from eci_convert.transports import open_sink, open_source
from eci_convert.transports.settings import Settings
from tests.support.fake_containerd import a_containerd
from tests.support.fake_docker import a_docker
from tests.support.reporters import Noting

TERMS = WriteOptions(platform=parse_platform("linux/amd64"))


@contextmanager
def docker(folder: Path) -> Iterator[tuple[str, Settings]]:
    with tempfile.TemporaryDirectory() as short, a_docker(Path(short)) as engine:
        yield "docker-daemon:machine:1", engine.settings()


@contextmanager
def containerd(folder: Path) -> Iterator[tuple[str, Settings]]:
    with tempfile.TemporaryDirectory() as short, a_containerd(Path(short)) as engine:
        yield "containerd:docker.io/library/machine:1", engine.settings


@contextmanager
def storage(folder: Path) -> Iterator[tuple[str, Settings]]:
    yield f"containers-storage:[vfs@{folder}/store]machine:1", Settings(environ={"HOME": str(folder)})


@contextmanager
def layout(folder: Path) -> Iterator[tuple[str, Settings]]:
    yield f"oci:{folder}/layout:machine", Settings(environ={"HOME": str(folder)})


PLACES = pytest.mark.parametrize(
    ("place", "phases", "waits"),
    [
        (docker, ["writing", "sending"], {"the Docker engine to answer", "the Docker engine to store the image"}),
        (containerd, ["compressing"], {"containerd to answer", "containerd to store the content"}),
        (storage, ["writing"], {"the locks of {}/store", "the layers to be written to {}/store"}),
        (layout, ["compressing"], set()),
    ],
    ids=["docker", "containerd", "containers-storage", "layout"],
)


def phases_of(reporter: Noting, task: str) -> list[str]:
    return [event.phase for event in reporter.events if isinstance(event, Phase | Relabelled) and event.task == task]


def waits_of(reporter: Noting, kind: type[Wait] | type[WaitEnded] = Wait) -> list[str]:
    return sorted(event.what for event in reporter.events if isinstance(event, kind))


def plans(events: list[Event]) -> list[Event]:
    return [event for event in events if isinstance(event, Plan | PlanEnded)]


@PLACES
def test_a_push_reports_phases_and_waits(place, phases: list[str], waits: set[str], tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    (tmp_path / "disk.img").write_bytes(b"disk" * 5000)
    reporter = Noting()
    artifact = artifact_from_parts(root=Disk.parse(f"{tmp_path}/disk.img:raw"))
    with (
        place(tmp_path) as (reference, settings),
        open_sink(reference, replace(settings, reporter=reporter)) as sink,
    ):
        push(
            artifact,
            sink,
            PushRequest(format="legacy", write=TERMS),
            options=TransferOptions(reporter=reporter),
        )

    assert phases_of(reporter, "disk-root-disk.img") == phases
    assert {wait.format(tmp_path) for wait in waits} <= set(waits_of(reporter))
    assert waits_of(reporter) == waits_of(reporter, WaitEnded), "a wait that never ends"
    assert plans(reporter.events) == [Plan(tasks=1, size=20000), PlanEnded()]


def a_layout(tmp_path: Path) -> str:
    (tmp_path / "disk.img").write_bytes(b"disk" * 5000)
    reference = f"oci:{tmp_path}/source:machine"
    with open_sink(reference, Settings(environ={"HOME": str(tmp_path)})) as sink:
        artifact = artifact_from_parts(root=Disk.parse(f"{tmp_path}/disk.img:raw"))
        push(artifact, sink, PushRequest(format="legacy", write=TERMS))
    return reference


def test_a_copy_reports_its_size_beforehand_and_what_is_there_already(tmp_path: Path) -> None:
    settings = Settings(environ={"HOME": str(tmp_path)})
    for again in (False, True):
        reporter = Noting()
        with open_source(a_layout(tmp_path), settings) as source, open_sink(f"oci:{tmp_path}/copy:x", settings) as sink:
            copy(source, sink, options=TransferOptions(reporter=reporter))
        plan = plans(reporter.events)[0]
        assert isinstance(plan, Plan)
        reused = [event for event in reporter.events if isinstance(event, Reused)]
        assert (plan.tasks, len(reused)) == (2, 2 if again else 0)
        assert plan.size == (sum(event.size for event in reused) if again else reporter.done)


def test_an_extraction_reports_what_it_receives_and_that_it_waits_for_the_disk(tmp_path: Path) -> None:
    reporter = Noting()
    with open_source(a_layout(tmp_path), Settings(environ={"HOME": str(tmp_path)})) as source:
        extract(source, ExtractRequest(directory=tmp_path / "out"), options=TransferOptions(reporter=reporter))
    assert {event.phase for event in reporter.events if isinstance(event, Phase)} == {"receiving"}
    assert waits_of(reporter) == ["the disk to take the files"]
    assert plans(reporter.events) == [Plan(), PlanEnded()]


def test_a_conversion_reports_what_it_packs(tmp_path: Path) -> None:
    settings, reporter = Settings(environ={"HOME": str(tmp_path)}), Noting()
    with open_source(a_layout(tmp_path), settings) as source, open_sink(f"oci:{tmp_path}/other:x", settings) as sink:
        copy(source, sink, CopyRequest(format="containerdisk"), options=TransferOptions(reporter=reporter))
    assert [phases_of(reporter, event.task)[-1] for event in reporter.events if isinstance(event, Phase)] == [
        "receiving",
        "compressing",
    ]

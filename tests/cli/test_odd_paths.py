"""Paths that cannot be looked at: closed folders, names that are too long, loops of links, what is below a file.

Whatever the command, the exit code is 2 (it makes no sense), 4, 5 or 9, never 1, and the line names the path.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import eci_convert
from eci_convert.cli import main
from eci_convert.errors import LocalError
from eci_convert.files.atomic import atomic_write, created_directories
from eci_convert.files.temp_files import is_directory, resolve_path
from eci_convert.transports.containers_storage.drivers.vfs import Vfs
from eci_convert.transports.containers_storage.store import ContainersStore
from eci_convert.transports.layout.kraftkit import is_store
from tests.cli.conftest import Parts
from tests.support.command_line import Run

COMMANDS = (
    "extract oci:{layout} {odd}/out",
    "extract oci:{layout} --kernel {odd}/k",
    "extract oci:{odd}/layout:x",
    "extract docker-archive:{odd}/a.tar out",
    "extract containers-storage:[{odd}]m:1",
    "copy oci:{layout} oci:{odd}/new:x",
    "copy oci:{layout} oci-archive:{odd}/new.tar",
    "copy --format legacy oci:{layout} docker-archive:{odd}/new.tar:x:1",
    "copy --format legacy oci:{layout} containers-storage:[vfs@{odd}]m:1",
    "build --kernel {odd}/k --to oci:{new}:x",
    "build --root {odd}/k --to oci:{new}:x",
    "build --kernel {kernel} --to oci:{odd}/new:x",
    "build --kernel {kernel} --to oci:{new}:x --digest-file {odd}/digest",
    "build --file {odd}/Dockerfile --builder docker -t x:1",
    "build --file {kernel} --context {odd}/c --builder docker -t x:1 --dry-run",
    "dockerfile --kernel {odd}/k",
    "dockerfile --kernel {kernel} --context {odd}",
    "dockerfile --kernel {kernel} --stage {odd}/c",
    "dockerfile --kernel {kernel} --context {parts} -o {odd}/Dockerfile",
    "push --remote {odd}/l x:1 --kernel {kernel}",
    "pull --remote {layout} edge/machine:1 --dir {odd}/out",
    "pullfiles --remote {layout} edge/machine:1 --kernel {odd}/k",
    "verify oci:{layout} --fix oci:{odd}/v:x",
)


def odd_path(kind: str, folder: Path) -> Path:
    match kind:
        case "long":
            return folder / ("n" * 300)
        case "deep":
            return folder.joinpath(*["d" * 200] * 25)
        case "file":
            (folder / "file").write_bytes(b"")
            return folder / "file/in"
        case _:
            (folder / "loop").symlink_to("loop")
            return folder / "loop/in"


def words_for(command: str, odd: Path, layout: Path, parts: Parts, folder: Path) -> list[str]:
    places = {"layout": layout, "parts": parts.kernel.parent, "kernel": parts.kernel, "new": folder / "new"}
    return [word.format(odd=odd, **places) for word in command.split()]


@pytest.mark.parametrize("kind", ["long", "deep", "file", "loop"])
@pytest.mark.parametrize("command", COMMANDS)
def test_a_path_that_cannot_be_looked_at_is_no_bug(
    command: str,
    kind: str,
    layout: Path,
    parts: Parts,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("DOCKER_HOST", "unix:///nonexistent/docker.sock")
    code = main(words_for(command, odd_path(kind, tmp_path), layout, parts, tmp_path))

    first = capfd.readouterr().err.splitlines()[0]
    assert code in (2, 4, 5, 9), first
    assert "[Errno" not in first
    assert "None" not in first


@pytest.fixture
def closed(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "closed"
    (folder / "in").mkdir(parents=True)
    folder.chmod(0)
    yield folder / "in"
    folder.chmod(0o700)


def unprivileged() -> list[str]:
    """What runs a command to which closed folders are closed, whoever we are."""
    if os.geteuid():
        return []
    if not shutil.which("setpriv"):
        pytest.skip("nothing is closed to root, and there is no setpriv")
    gone = "-dac_override,-dac_read_search"
    return ["setpriv", f"--bounding-set={gone}", f"--inh-caps={gone}"]


@pytest.mark.parametrize("command", [COMMANDS[number] for number in (0, 1, 2, 4, 8, 9, 13, 14, 17, 20)])
def test_a_closed_folder_is_no_bug(command: str, layout: Path, parts: Parts, closed: Path, tmp_path: Path) -> None:
    words = words_for(command, closed, layout, parts, tmp_path)
    program = [*unprivileged(), sys.executable, "-P", "-m", "eci_convert", *words]
    environ = {**os.environ, "PYTHONPATH": str(Path(eci_convert.__file__).parent.parent), "HOME": str(tmp_path)}

    done = subprocess.run(program, capture_output=True, text=True, env=environ, cwd=tmp_path, check=False, timeout=60)

    assert done.returncode in (4, 5, 9), done.stderr
    assert "closed" in done.stderr.splitlines()[0]


def test_whether_a_path_exists_is_an_error_where_it_cannot_be_determined(tmp_path: Path) -> None:
    """`Path.exists()` and `Path.is_dir()` say no there from Python 3.14."""
    odd = odd_path("long", tmp_path)
    questions: list[Callable[[], object]] = [
        lambda: is_directory(odd),
        lambda: is_store(odd),
        lambda: ContainersStore(root=odd, driver=Vfs(odd), lock_timeout=0).exists(),
    ]
    for question in questions:
        with pytest.raises(LocalError, match="File name too long"):
            question()


def test_a_name_with_a_nul_byte_is_no_name(tmp_path: Path) -> None:
    odd = tmp_path / "a\0b"
    assert not is_directory(odd)
    with pytest.raises(LocalError, match="NUL byte in a file name"):
        resolve_path(odd, strict=True)
    with pytest.raises(LocalError, match="not a valid file name"), atomic_write(odd):
        pass
    with pytest.raises(LocalError, match="NUL byte in a file name"), created_directories([odd / "file"]):
        pass
    with pytest.raises(LocalError, match="NUL byte in a file name"):
        eci_convert.Machine(kernel=odd).part_names()


def test_an_error_of_the_system_that_nobody_expected_names_its_file(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied", "/somewhere")

    monkeypatch.setattr("eci_convert.transports.open_source", refused)

    assert "/somewhere: Permission denied" in run("inspect", "oci:/tmp/x", exits=9).err

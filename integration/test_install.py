"""The built sdist and wheel: what is in them, and that pip, pipx and uv install a program that works."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from integration.support import check_dist

ROOT = Path(__file__).parent.parent


def run(*command: str | Path, env: Mapping[str, str] | None = None) -> str:
    done = subprocess.run(
        [str(word) for word in command], capture_output=True, text=True, check=False, timeout=280,
        env={**os.environ, **(env or {})},
    )  # fmt: skip
    assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A directory with the sdist of this tree, and the wheel that was made of the sdist."""
    if not (ROOT / ".git").exists():
        pytest.skip("what belongs into an sdist is asked of git")
    directory = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "build", "--outdir", directory, ROOT)
    yield directory
    shutil.rmtree(directory)


@pytest.fixture
def wheel(built: Path) -> Path:
    return next(built.glob("*.whl"))


def test_what_is_built_is_complete(built: Path) -> None:
    assert list(check_dist.problems(built, ROOT)) == []


def test_what_is_missing_is_reported(built: Path, tmp_path: Path) -> None:
    files = check_dist.tracked_files(ROOT)
    with zipfile.ZipFile(next(built.glob("*.whl"))) as archive:
        names = set(archive.namelist())

    changed = names - {"eci_convert/py.typed"} | {"tests/conftest.py"}

    assert list(check_dist.wheel_problems(changed, files)) == [
        "eci_convert/py.typed is missing",
        r"nothing matches eci_convert/py\.typed",
        "tests/conftest.py does not belong there",
    ]
    assert "tests/conftest.py is missing" in list(check_dist.sdist_problems(names, files))


def with_pip(wheel: Path, folder: Path) -> Path:
    run(sys.executable, "-m", "venv", folder / "venv")
    run(folder / "venv/bin/pip", "install", "--quiet", wheel)
    return folder / "venv/bin/eci-convert"


def with_pipx(wheel: Path, folder: Path) -> Path:
    env = {"PIPX_HOME": str(folder / "pipx"), "PIPX_BIN_DIR": str(folder / "bin"), "PIPX_MAN_DIR": str(folder / "man")}
    run(sys.executable, "-m", "pipx", "install", "--python", sys.executable, wheel, env=env)
    return folder / "bin/eci-convert"


def with_uv(wheel: Path, folder: Path) -> Path:
    env = {"UV_TOOL_DIR": str(folder / "uv"), "UV_TOOL_BIN_DIR": str(folder / "bin")}
    run(sys.executable, "-m", "uv", "tool", "install", "--python", sys.executable, wheel, env=env)
    return folder / "bin/eci-convert"


@pytest.mark.parametrize("install", [with_pip, with_pipx, with_uv])
def test_it_is_installed_and_works(install: Callable[[Path, Path], Path], wheel: Path, tmp_path: Path) -> None:
    content = os.urandom(100_000)
    (tmp_path / "vmlinuz").write_bytes(content)

    program = install(wheel, tmp_path)

    layout = f"oci:{tmp_path}/layout:machine"
    run(program, "build", "--kernel", tmp_path / "vmlinuz", "--to", layout, "--compression", "zstd")
    run(program, "extract", layout, "--kernel", tmp_path / "kernel")
    assert (tmp_path / "kernel").read_bytes() == content


INTERRUPTED_AT_THE_FIRST_IMPORT = """
import os, signal, sys
class Interrupting:
    def find_spec(self, name, path=None, target=None):
        sys.meta_path.remove(self)
        os.kill(os.getpid(), signal.SIGINT)
program = open(sys.argv[1]).read()
sys.modules.pop("re", None)
sys.meta_path.insert(0, Interrupting())
exec(program, {"__name__": "__main__"})
"""


def test_the_installed_script_takes_over_sigint_before_it_imports(wheel: Path, tmp_path: Path) -> None:
    run(sys.executable, "-m", "venv", tmp_path / "venv")
    run(tmp_path / "venv/bin/pip", "install", "--quiet", "--no-deps", wheel)

    done = subprocess.run(
        [tmp_path / "venv/bin/python", "-c", INTERRUPTED_AT_THE_FIRST_IMPORT, tmp_path / "venv/bin/eci-convert"],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip

    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")

"""The rules of the architecture, as assertions over the source of the package."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import eci_convert
from eci_convert.transports import SCHEMES
from tests.support.fake_registry.server import a_registry

PACKAGE = Path(eci_convert.__file__).parent
MODULES = sorted(path for path in PACKAGE.rglob("*.py") if not path.name.endswith("_pb2.py"))

LEVELS = (
    {"errors", "redaction", "version"},
    {"oci", "model", "disktype", "progress"},
    {"blueprint", "streams"},
    {"dialects", "transports"},
    {"content", "rootfs", "overlay", "extract", "outputs", "pack", "convert", "verify", "dockerfile", "dockerbuild",
     "parts", "publish", "takeout", "journal", "weight", "documents", "diffids", "move", "sizes", "cnab",
     "operations"},
    {"__init__"},
    {"cli", "__main__"},
)  # fmt: skip

HEAVY = {"docker", "oras", "grpc", "pydantic", "rich", "python_on_whales", "requests", "urllib3", "zstandard"}
"""Imported where they are needed, never when the command line starts."""


def unit(path: Path) -> str:
    """The row of LEVELS that *path* belongs to: its package, or its own name."""
    relative = path.relative_to(PACKAGE)
    return relative.parts[0] if len(relative.parts) > 1 else relative.stem


def level(name: str) -> int:
    found = [number for number, names in enumerate(LEVELS) if name in names]
    assert found, f"{name} stands in no level: add it to LEVELS and to the picture in eci_convert/__init__.py"
    return found[0]


def imports(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def at_import_time(tree: ast.Module) -> Iterator[str]:
    """What a module imports as soon as it is imported itself."""
    for node in tree.body:
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            yield from imports(node)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_point_downwards_only(path: Path) -> None:
    here = unit(path)
    for name in imports(ast.parse(path.read_text())):
        words = name.split(".")
        if words[0] != "eci_convert" or len(words) < 2 or words[1] == here:
            continue
        there = words[1] if any(words[1] in names for names in LEVELS) else "__init__"
        assert level(there) <= level(here), f"{here} (level {level(here)}) imports {name} (level {level(there)})"


@pytest.mark.parametrize(("one", "other"), [("dialects", "transports"), ("transports", "dialects")])
def test_siblings_never_import_each_other(one: str, other: str) -> None:
    for path in (PACKAGE / one).rglob("*.py"):
        assert not [name for name in imports(ast.parse(path.read_text())) if name.startswith(f"eci_convert.{other}")]


def test_a_dialect_knows_no_other_dialect() -> None:
    names = {"eci", "labels", "ironcore", "unikraft", "containerdisk", "kubevirt"}
    for name in names:
        path = PACKAGE / "dialects" / f"{name}.py"
        if path.exists():
            found = {word.rpartition(".")[2] for word in imports(ast.parse(path.read_text())) if "dialects" in word}
            assert not found & (names - {name}), f"{name} imports {found & (names - {name})}"


def test_content_alone_fetches() -> None:
    for path in MODULES:
        if unit(path) in ("content", "transports"):
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "fetch":
                owner = ast.unparse(node.func.value)
                assert "filesystem" in owner or "files" in owner, f"{path.name} calls {owner}.fetch"


def test_show_alone_prints() -> None:
    for path in MODULES:
        text = path.read_text()
        tree = ast.parse(text)
        calls = {ast.unparse(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
        assert "print" not in calls, path
        if path.name != "cli/output.py":
            assert not {call for call in calls if re.fullmatch(r"sys\.std(out|err)\.write", call)} or (
                path.parent.name == "cli" and path.name == "__init__.py"
            ), path


def test_nothing_catches_everything_but_the_last_line_of_defence() -> None:
    for path in MODULES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ExceptHandler):
                caught = ast.unparse(node.type) if node.type else ""
                everything = node.type is None or caught in ("Exception", "BaseException")
                reraises = any(isinstance(inner, ast.Raise) and inner.exc is None for inner in ast.walk(node))
                hands_on = reraises or path.name in (
                    "streams/threads.py",
                    "streams/threads.py",
                )  # to the thread that waits
                allowed = path.name == "cli/exit_codes.py" or (caught == "BaseException" and hands_on)
                assert not everything or allowed, f"{path}: except {caught}"


def test_heavy_libraries_are_imported_late() -> None:
    early = {"cli", "errors", "model", "oci", "takeout", "parts", "publish", "content", "streams", "dialects", "pack",
             "blueprint", "convert", "verify", "extract", "disktype", "__init__", "dockerfile"}  # fmt: skip
    for path in MODULES:
        if unit(path) in early:
            found = {name.split(".")[0] for name in at_import_time(ast.parse(path.read_text()))}
            assert not found & HEAVY, f"{path} imports {found & HEAVY} before they are needed"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_module_holds_one_idea_and_says_it(path: Path) -> None:
    text = path.read_text()
    assert len(text.splitlines()) <= 300, f"{path} has {len(text.splitlines())} lines"
    assert ast.get_docstring(ast.parse(text)), f"{path} does not say its idea"


def test_every_scheme_has_its_module_and_every_module_its_openers() -> None:
    for scheme in SCHEMES:
        place = PACKAGE / "transports" / scheme.module
        path = place / "__init__.py" if place.is_dir() else place.with_suffix(".py")
        tree = ast.parse(path.read_text())
        names = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
        names |= {word.rpartition(".")[2] for word in at_import_time(tree)}
        assert {"open_source", "open_sink"} <= names, f"{scheme.name} cannot be opened"


def test_nothing_is_extracted_by_tarfile() -> None:
    for path in MODULES:
        assert "extractall" not in path.read_text(), path


def loaded(folder: Path, *words: str) -> set[str]:
    """The modules that a command in *folder* has loaded when it ends."""
    program = f"import sys; from eci_convert.cli import main; main({list(words)}); print(*sys.modules, file=sys.stderr)"
    said = subprocess.run(
        [sys.executable, "-c", program], cwd=folder, env={"PYTHONPATH": str(PACKAGE.parent)}, check=True,
        capture_output=True, text=True,
    )  # fmt: skip
    return set(said.stderr.split())


def test_a_dockerfile_needs_no_dialect_no_layer_and_no_place(tmp_path: Path) -> None:
    (tmp_path / "kernel").write_bytes(b"kernel")
    found = loaded(tmp_path, "dockerfile", "--kernel", "kernel")
    needless = {"pack", "overlay", "rootfs", "extract", "convert", "transports.registry", "dialects.eci"}
    assert "eci_convert.docker_build.dockerfile" in found
    assert not found & {f"eci_convert.{name}" for name in needless}
    assert not found & HEAVY


def test_a_copy_that_keeps_everything_needs_nothing_that_reads_or_makes_layers(tmp_path: Path) -> None:
    (tmp_path / "kernel").write_bytes(b"kernel")
    with a_registry() as registry:
        loaded(tmp_path, "push", f"{registry.host}/machine:1", "--kernel", "kernel")
        found = loaded(
            tmp_path, "copy", f"docker://{registry.host}/machine:1", f"docker://{registry.host}/other:1", "-q"
        )
    needless = {"pack", "overlay", "rootfs", "extract", "takeout", "transports.auth", "dialects.eci"}
    assert {"eci_convert.operations.copy", "eci_convert.transports.registry.sink"} <= found
    assert not found & {f"eci_convert.{name}" for name in needless}
    assert not found & HEAVY

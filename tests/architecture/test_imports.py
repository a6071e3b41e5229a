"""Rules of the architecture, as assertions over the source of the package: who imports whom, and who does what."""

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
from tests.architecture.levels import LEVELS, MOST_WITHOUT_ORDER, ORDER
from tests.support.fake_registry.server import a_registry

PACKAGE = Path(eci_convert.__file__).parent
MODULES = sorted(path for path in PACKAGE.rglob("*.py") if not path.name.endswith("_pb2.py"))
PACKAGE_PAGE = Path(__file__).parents[2] / "docs" / "explanation" / "architecture.md"

HEAVY = {
    "docker",
    "oras",
    "grpc",
    "pydantic",
    "rich",
    "python_on_whales",
    "requests",
    "urllib3",
    "backports",
    "compression",
}
"""Imported where they are needed, never when the command line starts."""
OF_SHUTIL = {"compression"}  # imports it from Python 3.14


def name_of(path: Path) -> str:
    """The dotted name of a module, without the package's own: `transports.registry.client`."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts)


NAMES = {name_of(path) for path in MODULES}


def imports(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def at_import_time(tree: ast.Module) -> Iterator[str]:
    """What a module imports as soon as it is imported itself."""
    for node in tree.body:
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            yield from imports(node)


def modules_imported(path: Path) -> Iterator[str]:
    """The modules of the package that *path* imports, by dotted name; a package is its `__init__`."""
    for name in imports(ast.parse(path.read_text())):
        words = name.split(".")
        if words[0] != "eci_convert":
            continue
        words = words[1:]
        while words and ".".join(words) not in NAMES and ".".join((*words, "__init__")) not in NAMES:
            words.pop()
        yield ".".join(words) if ".".join(words) in NAMES else ".".join((*words, "__init__"))


def row(rows: tuple[str, ...], word: str, where: str) -> int:
    numbers = [number for number, words in enumerate(rows) if word in words.split()]
    assert len(numbers) == 1, f"{word} stands in {len(numbers)} rows of {where}: give it one"
    return numbers[0]


def test_the_levels_are_those_of_the_page() -> None:
    page = PACKAGE_PAGE.read_text()
    listed: dict[int, set[str]] = {}
    for level, names in re.findall(r"^\| +(\d+) \| ([^|]+) \|", page, re.MULTILINE):
        listed.setdefault(int(level), set()).update(re.findall(r"`(\w+)", names))

    hidden = {"_version", "__main__"}
    levels = [set(words.split()) - hidden for words in LEVELS]
    assert [listed[level] for level in sorted(listed)] == [words for words in levels if words]


def test_every_folder_with_folders_or_many_modules_has_an_order() -> None:
    for folder in {path.parent for path in MODULES} - {PACKAGE}:
        name = ".".join(folder.relative_to(PACKAGE).parts)
        modules = [path for path in folder.glob("*.py") if path.name != "__init__.py" and path in MODULES]
        assert len(modules) <= MOST_WITHOUT_ORDER or name in ORDER, f"{name}: {len(modules)} modules without an order"


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_imports_point_downwards_only(path: Path) -> None:
    here = name_of(path).split(".")[0]
    for name in modules_imported(path):
        other = name.split(".")[0]
        if other != here:
            assert row(LEVELS, other, "LEVELS") < row(LEVELS, here, "LEVELS"), f"{name_of(path)} imports {name}"


@pytest.mark.parametrize("folder", ORDER)
def test_imports_inside_a_folder_point_downwards_only(folder: str) -> None:
    for path in (PACKAGE / folder.replace(".", "/")).rglob("*.py"):
        if path not in MODULES:
            continue
        here = name_of(path).removeprefix(f"{folder}.").split(".")[0]
        for name in modules_imported(path):
            other = name.removeprefix(f"{folder}.").split(".")[0]
            if name.startswith(f"{folder}.") and other != here:
                assert row(ORDER[folder], other, folder) < row(ORDER[folder], here, folder), f"{path} imports {name}"


def test_a_format_knows_no_other_format() -> None:
    formats = [path for path in (PACKAGE / "dialects").glob("*/*.py") if path.name != "__init__.py"]
    alike = {"dialects.eci.layer_roles", "dialects.eci.media_types", "dialects.container_images.command_line"}
    for path in formats:
        for name in modules_imported(path):
            assert not name.startswith("dialects.") or name.count(".") == 1 or name in alike, f"{path} imports {name}"


def test_reading_alone_fetches() -> None:
    for path in MODULES:
        if name_of(path).split(".")[0] in ("reading", "transports"):
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "fetch":
                owner = ast.unparse(node.func.value)
                assert "filesystem" in owner or "files" in owner, f"{path} calls {owner}.fetch"


def test_output_alone_prints() -> None:
    for path in MODULES:
        tree = ast.parse(path.read_text())
        calls = {ast.unparse(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
        assert "print" not in calls, path
        if name_of(path) not in ("cli.output", "cli.__init__"):
            assert not {call for call in calls if re.fullmatch(r"sys\.std(out|err)\.write", call)}, path


def test_nothing_catches_everything_but_the_last_line_of_defence() -> None:
    for path in MODULES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ExceptHandler):
                caught = ast.unparse(node.type) if node.type else ""
                everything = node.type is None or caught in ("Exception", "BaseException")
                reraises = any(isinstance(inner, ast.Raise) and inner.exc is None for inner in ast.walk(node))
                hands_on = reraises or name_of(path) == "streams.threads"  # to the thread that waits
                allowed = name_of(path) == "cli.exit_codes" or (caught == "BaseException" and hands_on)
                assert not everything or allowed, f"{path}: except {caught}"


def test_heavy_libraries_are_imported_late() -> None:
    for path in MODULES:
        if name_of(path).split(".")[0] not in ("transports", "docker_build", "oras_compat"):
            early = {name.split(".")[0] for name in at_import_time(ast.parse(path.read_text()))}
            assert not early & HEAVY, f"{path} imports {early & HEAVY} before they are needed"


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_a_module_holds_one_idea_and_says_it(path: Path) -> None:
    text = path.read_text()
    assert len(text.splitlines()) <= 300, f"{path} has {len(text.splitlines())} lines"
    assert ast.get_docstring(ast.parse(text)), f"{path} does not say its idea"


@pytest.mark.parametrize("path", [path for path in MODULES if path.name == "__init__.py"], ids=name_of)
def test_a_package_lists_its_modules_and_no_others(path: Path) -> None:
    documentation = ast.get_docstring(ast.parse(path.read_text())) or ""
    modules = {module.name for module in path.parent.glob("*.py") if module in MODULES} - {"__init__.py", "__main__.py"}
    folders = {f"{folder.parent.name}/" for folder in path.parent.glob("*/__init__.py")}
    listed = set(re.findall(r"^ *(\w+(?:\.py|/))(?=\s|$)", documentation, re.MULTILINE))

    assert not listed - modules - folders, f"{path} lists what is not there"
    if path.parent.name not in ("commands", "eci_convert"):  # a table of commands, and a picture
        assert not {name for name in modules | folders if name not in documentation and not name.startswith("_")}


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_no_module_imports_a_private_name_of_another(path: Path) -> None:
    names = {name for name in imports(ast.parse(path.read_text())) if name.startswith("eci_convert.")}

    assert not {name for name in names if re.search(r"\._[a-z]", name)} - {"eci_convert._version.__version__"}


def test_every_scheme_has_its_module_and_every_module_its_openers() -> None:
    for scheme in SCHEMES:
        place = PACKAGE / "transports" / scheme.module.replace(".", "/")
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
    output = subprocess.run(
        [sys.executable, "-c", program], cwd=folder, env={"PYTHONPATH": str(PACKAGE.parent)}, check=True,
        capture_output=True, text=True,
    )  # fmt: skip
    return set(output.stderr.split())


def test_a_dockerfile_needs_no_dialect_no_layer_and_no_transport(tmp_path: Path) -> None:
    (tmp_path / "kernel").write_bytes(b"kernel")
    modules = loaded(tmp_path, "dockerfile", "--kernel", "kernel")
    needless = {"pack.image", "rootfs", "operations.copy", "transports.registry", "dialects.eci"}
    assert "eci_convert.docker_build.dockerfile" in modules
    assert not modules & {f"eci_convert.{name}" for name in needless}
    assert not modules & HEAVY - OF_SHUTIL


def test_a_copy_that_keeps_everything_needs_nothing_that_reads_or_makes_layers(tmp_path: Path) -> None:
    (tmp_path / "kernel").write_bytes(b"kernel")
    with a_registry() as registry:
        loaded(tmp_path, "push", f"{registry.host}/machine:1", "--kernel", "kernel")
        modules = loaded(
            tmp_path, "copy", f"docker://{registry.host}/machine:1", f"docker://{registry.host}/other:1", "-q"
        )
    needless = {"pack.image", "pack.blob_writer", "rootfs", "reading.files", "operations.extract", "dialects.eci"}
    needless |= {"transports.credentials.lookup"}
    assert {"eci_convert.operations.copy", "eci_convert.transports.registry.sink"} <= modules
    assert not modules & {f"eci_convert.{name}" for name in needless}
    assert not modules & HEAVY - OF_SHUTIL

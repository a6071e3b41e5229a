"""Rules about the tests themselves: who imports whom, where the environment is isolated, which error is expected."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FILES = sorted(path for folder in ("tests", "integration") for path in (ROOT / folder).rglob("*.py"))

BROAD = frozenset({
    "BaseException", "Exception", "OSError", "ValueError", "KeyError", "TypeError", "RuntimeError",
    "EciError", "FormatError", "TransportError", "UsageError", "LocalError", "IntegrityError", "UnsupportedImageError",
    "CannotHoldError", "CorruptStreamError", "LimitExceededError",
})  # fmt: skip
"""Errors that are raised for many reasons: a test says for which, with `match` or a look at the error. Others say it by
their class: NotFoundError, DigestMismatchError."""

UNCLEAR: dict[str, int] = {}
"""Files with tests that do not say which broad error they expect, and how many of them. This only shrinks."""


def imported(source: str) -> Iterator[str]:
    """The modules that a module imports, by dotted name."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def other_tests(source: str) -> list[str]:
    return [name for name in imported(source) if any(word.startswith("test_") for word in name.split("."))]


def unclear_errors(source: str) -> int:
    """How often `pytest.raises` expects a broad error, or a variable's, without `match` and without its value."""
    return sum(
        _is_unclear(item) for node in ast.walk(ast.parse(source)) if isinstance(node, ast.With) for item in node.items
    )


def _is_unclear(item: ast.withitem) -> bool:
    call = item.context_expr
    if not isinstance(call, ast.Call) or ast.unparse(call.func) != "pytest.raises" or item.optional_vars:
        return False
    if any(keyword.arg in ("match", "check") for keyword in call.keywords):
        return False
    expected = call.args[0]
    classes = expected.elts if isinstance(expected, ast.Tuple) else [expected]
    names = [ast.unparse(name).rpartition(".")[2] for name in classes]
    return len(names) > 1 or any(name in BROAD or name[:1].islower() for name in names)


def module_name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def test_violations_are_found() -> None:
    assert other_tests("import tests.a.test_b; from tests.test_c import x; from tests.support import y") == [
        "tests.a.test_b",
        "tests.test_c.x",
    ]
    source = """
with pytest.raises(UsageError): f()
with pytest.raises(ec.LocalError): f()
with pytest.raises((A, B)): f()
with pytest.raises(error): f()
with pytest.raises(UsageError, match="x"): f()
with pytest.raises(UsageError) as caught: f()
with pytest.raises(NotFoundError): f()
"""
    assert unclear_errors(source) == 4


def test_no_test_imports_another() -> None:
    """What several tests need is in tests/support/."""
    found = {module_name(path): other_tests(path.read_text()) for path in FILES}

    assert not {module: names for module, names in found.items() if names}


@pytest.mark.parametrize("folder", ["tests", "integration"])
def test_every_test_says_which_error_it_expects(folder: str) -> None:
    counts = {module_name(path): unclear_errors(path.read_text()) for path in FILES}
    counts = {module: count for module, count in counts.items() if count and module.startswith(f"{folder}/")}

    assert counts == {module: count for module, count in UNCLEAR.items() if module.startswith(f"{folder}/")}


def test_one_conftest_of_each_suite_isolates_its_tests() -> None:
    """The variables of the user that runs the tests are removed in one place; others set what their tests need."""
    conftests = {path.parent: path.read_text() for path in FILES if path.name == "conftest.py"}

    assert {folder for folder, text in conftests.items() if "isolate(" in text} == {
        ROOT / "tests",
        ROOT / "integration",
    }
    assert not [folder for folder, text in conftests.items() if "delenv(" in text]


def test_the_contracts_are_inherited_by_every_transport() -> None:
    """tests/support/contract: a source and a sink contract for each row of SCHEMES, and for the memory."""
    inheriting: dict[Path, set[str]] = {}
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ClassDef):
                inheriting.setdefault(path, set()).update(ast.unparse(base) for base in node.bases)
    folders = {path.parent.name for path, bases in inheriting.items() if {"SourceContract", "SinkContract"} <= bases}

    transports = ROOT / "eci_convert" / "transports"
    packages = {path.parent.name for path in transports.glob("*/__init__.py") if (path.parent / "sink.py").exists()}
    assert packages | {"layout", "transports"} <= folders

"""A function has six parameters at most: more of them are a value that has a name (CopyRequest, TransferOptions)."""

from __future__ import annotations

import ast
from pathlib import Path

import eci_convert

PACKAGE = Path(eci_convert.__file__).parent
MODULES = sorted(path for path in PACKAGE.rglob("*.py") if not path.name.endswith("_pb2.py"))
MOST = 6

ALLOWED = {
    # The library's functions: keywords with defaults, each with a line in its docstring.
    "api/images.py copy": 15,
    "api/images.py extract": 17,
    "api/images.py push": 11,
    "api/images.py verify": 7,
    "api/stores.py attach": 8,
    "api/stores.py blob_url": 7,
    "api/stores.py create_index": 8,
    # These make the value: of the options of a command line, or of what a user names one by one.
    "cli/extract_common.py extract_request": 9,
    "cli/part_options.py artifact_from_options": 9,
    "operations/extract.py extract_files": 7,
    "reading/local_parts.py artifact_from_parts": 8,
    # A request of HTTP has as many parts.
    "transports/registry/client.py RegistryClient.request": 7,
    # One too many.
    "pack/image.py pack": 7,
    "reading/files.py in_archive": 7,
}
"""Functions with more parameters, and how many. This only shrinks. Commands of the command line have one for each
option and are not counted."""


def long_signatures(source: str, most: int = MOST) -> dict[str, int]:
    """The functions of a module with more than *most* parameters (but `self` and `*args`), and how many."""
    found: dict[str, int] = {}
    _visit(ast.parse(source), "", most, found)
    return found


def _visit(node: ast.AST, prefix: str, most: int, found: dict[str, int]) -> None:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef) and not _is_command(child):
            count = _count(child.args)
            found |= {prefix + child.name: count} if count > most else {}
        named = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
        _visit(child, f"{prefix}{getattr(child, 'name', '')}." if named else prefix, most, found)


def _count(arguments: ast.arguments) -> int:
    names = [argument.arg for argument in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)]
    return len(names) - (names[:1] in (["self"], ["cls"]))


def _is_command(function: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    decorators = [node.func if isinstance(node, ast.Call) else node for node in function.decorator_list]
    return any(ast.unparse(decorator).rpartition(".")[2] == "command" for decorator in decorators)


def test_long_signatures_are_found() -> None:
    source = """
class A:
    def method(self, a, /, b, *args, c, d=0, **rest): ...
    def short(self, a, b, c): ...
@command()
def click(a, b, c, d, e): ...
def outer():
    async def inner(a, b, c, d): ...
"""
    assert long_signatures(source, 3) == {"A.method": 4, "outer.inner": 4}


def test_no_function_has_a_tail_of_parameters() -> None:
    counts = {
        f"{path.relative_to(PACKAGE)} {name}": count
        for path in MODULES
        for name, count in long_signatures(path.read_text()).items()
    }

    assert {name: count for name, count in counts.items() if count > ALLOWED.get(name, MOST)} == {}
    assert counts == ALLOWED, "a signature became shorter: shorten the list too"

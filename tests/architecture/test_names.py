"""A public name of the package stands for one thing, and texts say what goes wrong in the field's words."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import eci_convert

PACKAGE = Path(eci_convert.__file__).parent
MODULES = sorted(path for path in PACKAGE.rglob("*.py") if not path.name.endswith("_pb2.py"))
SURFACES = (PACKAGE / "cli" / "commands", PACKAGE / "api")
"""A command and a function of the library are named like the operation that they run."""

PROTOCOL = {
    "open_source": "each transport",
    "open_sink": "each transport",
    "read": "each dialect",
    "write": "each dialect",
    "build": "each builder of docker_build",
    "main": "each program",
    "open_catalog": "each transport",
    "open_referrer_sink": "each transport",
    "push": "the operation on an artifact, and the one on a CNAB bundle",
}
"""Names that stand for the same thing in several modules, which their callers choose from."""

ELSEWHERE = {
    "below": "oras_compat, operations.store",
    "body": "oras_compat.files, testing.faults",
    "candidates": "oci.index, transports.registry.endpoints",
    "check_platform": "cli.applicable, oci.platform",
    "check_distinct": "dialects, operations.store",
    "cut": "display.layout, testing.faults",
    "header": "cli.extract_common, testing.faults",
    "image_name": "operations.extract_request, transports",
    "install": "cli.completion, cli.signals",
    "is_artifact": "dialects.eci.layer_roles, dialects.part_labels",
    "list_images": "operations.store.list, transports.layout.index",
    "plain": "display.layout, operations.store.entries",
    "references": "cli.completion, transports.containerd.gc_labels",
    "referrers_of": "reading.manifests, transports.layout.reachable",
    "status": "testing.faults, transports.containerd",
}
"""Names that still stand for two things. Rename one of them rather than add to this."""

BANNED = (
    "nothing listens", "believed", "stands still", "lets nobody through", "hung up", "no computer named",
    "turned down", "going on without",
)  # fmt: skip
"""Phrases for which the field has a term: connection refused, certificate verify failed, timed out, refused CONNECT,
connection closed, cannot resolve host, continuing without."""


def public_definitions(source: str) -> Iterator[str]:
    """The names of the public classes and functions at the top of a module."""
    for node in ast.parse(source).body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and not node.name.startswith("_"):
            yield node.name


def texts(source: str) -> Iterator[str]:
    """All texts of a module, docstrings and messages, with white space collapsed."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield " ".join(node.value.split())


def banned(source: str) -> set[str]:
    """The banned phrases in the texts of a module."""
    return {phrase for text in texts(source) for phrase in BANNED if phrase in text}


def name(path: Path) -> str:
    return str(path.relative_to(PACKAGE.parent))


def test_public_names_are_found() -> None:
    source = "class A:\n    def inner(self): ...\ndef b(): ...\nasync def c(): ...\ndef _d(): ...\ne = 1\n"

    assert list(public_definitions(source)) == ["A", "b", "c"]


def shared_names() -> dict[str, list[str]]:
    """The public names that are defined in several modules, and in which."""
    modules = defaultdict(list)
    for path in MODULES:
        if not set(SURFACES) & set(path.parents):
            for definition in public_definitions(path.read_text()):
                modules[definition].append(name(path))
    return {definition: paths for definition, paths in modules.items() if len(paths) > 1}


def test_a_public_name_stands_for_one_thing() -> None:
    shared = shared_names()

    assert not {definition: paths for definition, paths in shared.items() if definition not in PROTOCOL | ELSEWHERE}


def test_every_exception_is_still_needed() -> None:
    assert not (PROTOCOL | ELSEWHERE).keys() - shared_names().keys()


def test_a_class_has_a_name_of_its_own_among_commands_too() -> None:
    modules = defaultdict(list)
    for path in MODULES:
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                modules[node.name].append(name(path))

    twice = {definition: paths for definition, paths in modules.items() if len(paths) > 1}
    assert twice.keys() == {"Image"}, twice  # an open image of the library, and the value that it reads


def test_phrases_are_found_across_lines_and_in_messages() -> None:
    source = '"""The certificate is not\n    believed."""\nraise OSError(f"{x}: nothing listens there")\n'

    assert banned(source) == {"believed", "nothing listens"}


def test_texts_use_the_words_of_the_field() -> None:
    phrases = {name(path): banned(path.read_text()) for path in MODULES}

    assert not {module: listed for module, listed in phrases.items() if listed}

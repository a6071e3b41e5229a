"""Check what `make dist` built: `python -P integration/support/check_dist.py [DIRECTORY]`, run at the root of the tree.

Says on standard error everything that is wrong with the sdist and the wheel in DIRECTORY (dist), and exits with 1.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Collection, Iterable, Iterator
from email.message import Message
from email.parser import BytesParser
from pathlib import Path

IN_WHEEL = (
    r"eci_convert/py\.typed",
    r"eci_convert/cli/commands/completion\.py",
    r"eci_convert/transports/containerd/proto/containerd_pb2\.pyi",
    r"eci_convert-[^/]*\.data/scripts/eci-convert",
)
"""What must be in the wheel besides the modules, as regular expressions of whole names: add what is generated."""

IN_SDIST = ("Makefile", "CHANGELOG.md", "LICENSE", "README.md", "pyproject.toml", "dockerfiles/eci-convert.Dockerfile")
"""What must be in the sdist, besides all of `SDIST_FOLDERS` and `SDIST_FILES_IF_PRESENT`."""
SDIST_FOLDERS = ("eci_convert", "tests", "integration", "dockerfiles", "docs", "examples", ".github")
SDIST_FILES_IF_PRESENT = ("CONTRIBUTING.md", "SECURITY.md", ".editorconfig", ".pre-commit-config.yaml", "mkdocs.yml")

ALWAYS_INSTALLED = ("click", "docker", "fastcrc", "oras", "protobuf", "python-on-whales", "requests", "rich")
"""Dependencies without any marker. What has no wheels for some architectures may have one."""
PYTHONS = ("3.11", "3.12", "3.13", "3.14")
_PLACEHOLDER = re.compile(r"example\.|localhost|the .* authors|todo", re.IGNORECASE)
_NEVER = re.compile(r"(^|/)(__pycache__|\.venv|build|dist|\.git)/|\.pyc$")


def problems(directory: Path, tree: Path) -> Iterator[str]:
    """Everything that is wrong with what *directory* holds, which was built of *tree*."""
    wheels, sdists = sorted(directory.glob("*.whl")), sorted(directory.glob("*.tar.gz"))
    if len(wheels) != 1 or len(sdists) != 1:
        yield f"{directory}: one wheel and one sdist are expected, not {[path.name for path in (*wheels, *sdists)]}"
        return
    files = tracked_files(tree)
    with zipfile.ZipFile(wheels[0]) as wheel:
        names = set(wheel.namelist())
        [metadata_name] = (name for name in names if name.endswith(".dist-info/METADATA"))
        metadata = BytesParser().parsebytes(wheel.read(metadata_name))
    with tarfile.open(sdists[0]) as sdist:
        members = {name.partition("/")[2] for name in sdist.getnames()}
    yield from _prefixed("wheel", wheel_problems(names, files))
    yield from _prefixed("sdist", sdist_problems(members, files))
    yield from _prefixed("metadata", metadata_problems(metadata, _version(tree)))


def wheel_problems(names: Collection[str], files: Iterable[str]) -> Iterator[str]:
    """What is missing among the *names* in a wheel of the tree of *files*, or should not be there."""
    yield from (f"{name} is missing" for name in files if name.startswith("eci_convert/") and name not in names)
    yield from (f"nothing matches {one}" for one in IN_WHEEL if not any(re.fullmatch(one, name) for name in names))
    for name in names:
        top = name.partition("/")[0]
        if _NEVER.search(name) or not (top == "eci_convert" or top.endswith((".dist-info", ".data"))):
            yield f"{name} does not belong there"


def sdist_problems(names: Collection[str], files: Collection[str]) -> Iterator[str]:
    """What is missing among the *names* in an sdist of the tree of *files*, or should not be there."""
    wanted = {*IN_SDIST, *(file for file in files if file.startswith(tuple(f"{each}/" for each in SDIST_FOLDERS)))}
    wanted.update(file for file in files if file in SDIST_FILES_IF_PRESENT)
    yield from (f"{name} is missing" for name in sorted(wanted) if name not in names)
    yield from (f"{name} does not belong there" for name in names if _NEVER.search(name))


def metadata_problems(metadata: Message, version: str) -> Iterator[str]:
    """What is wrong with the *metadata* of a distribution of *version*."""
    expected = {
        "Name": "eci-convert",
        "Version": version,
        "License-Expression": "Apache-2.0",
        "License-File": "LICENSE",
    }
    expected |= {"Requires-Python": ">=3.11", "Description-Content-Type": "text/markdown"}
    for field, value in expected.items():
        if metadata[field] != value:
            yield f"{field} is {metadata[field]!r}, not {value!r}"
    classifiers = metadata.get_all("Classifier", [])
    yield from (
        f"no classifier for Python {python}"
        for python in PYTHONS
        if f"Programming Language :: Python :: {python}" not in classifiers
    )
    for field in ("Author", "Author-email", "Maintainer", "Maintainer-email", "Home-page", "Project-URL"):
        for value in metadata.get_all(field, []):
            if not value.strip() or _PLACEHOLDER.search(value):
                yield f"{field} is made up: {value!r}"
    yield from _dependency_problems(metadata.get_all("Requires-Dist", []))


def _dependency_problems(requirements: Iterable[str]) -> Iterator[str]:
    markers = {
        re.split(r"[<>=!~ ;\[]", requirement, maxsplit=1)[0].lower(): requirement.partition(";")[2]
        for requirement in requirements
        if "extra ==" not in requirement
    }
    for name in ALWAYS_INSTALLED:
        if name not in markers:
            yield f"{name} is not a dependency"
        elif markers[name]:
            yield f"{name} is not always installed: {markers[name].strip()}"


def tracked_files(tree: Path) -> frozenset[str]:
    """The files that git tracks in *tree*."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=tree, capture_output=True, text=True, check=True).stdout
    return frozenset(name for name in listed.split("\0") if name and (tree / name).is_file())


def _version(tree: Path) -> str:
    match = re.search(r'__version__ = "([^"]+)"', (tree / "eci_convert/_version.py").read_text())
    assert match, "eci_convert/_version.py holds no version"
    return match[1]


def _prefixed(what: str, lines: Iterable[str]) -> Iterator[str]:
    return (f"{what}: {line}" for line in lines)


def main(arguments: list[str]) -> int:
    directory = Path(arguments[0] if arguments else "dist")
    found = list(problems(directory, Path()))
    for line in found:
        print(line, file=sys.stderr)
    if not found:
        print("checked:", *sorted(path.name for path in directory.iterdir()))
    return bool(found)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

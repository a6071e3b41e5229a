"""Options that name the parts of a machine."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import click

from eci_convert.cli.piped_parts import PipedParts, default_disk_name
from eci_convert.errors import LocalError, NotFoundError, UsageError
from eci_convert.model import Artifact, Pipe
from eci_convert.oci.platform import Platform, host_platform, parse_platform
from eci_convert.operations.destination import archive_path, check_not_an_input, resolved_path
from eci_convert.progress import NULL_REPORTER, Reporter
from eci_convert.reading.local_parts import Disk, artifact_from_parts
from eci_convert.reading.pipes import prepared_pipes

_MAX_COMMAND_LINE = 64 << 10
_PLAT = re.compile(r"[A-Za-z0-9_.+-]{1,64}", re.ASCII)


def artifact_from_options(
    *outputs: Path | None,
    kernel: Path | None,
    initrd: Path | None,
    root: str | None,
    disks: tuple[str, ...],
    config: Path | None,
    cmdline: str | None,
    others: tuple[tuple[str, str], ...],
    trust_type: bool,
    reporter: Reporter = NULL_REPORTER,
) -> Artifact:
    """The machine that `parts` describe. *reporter* is warned of files that seem to be mixed up. What comes through a
    pipe is not read yet, but for a command line; it can be until the running command ends.

    Raises UsageError where one of *outputs*, which are to be written, is a part, and where standard input is wanted
    twice; and what `artifact_from_parts` raises.
    """
    context = click.get_current_context()
    piped = PipedParts(
        context.with_resource(ExitStack()), password_from_stdin=bool(context.params.get("password_stdin"))
    )

    def disk(text: str, part: str, name: str) -> Disk:
        parsed = Disk.parse(text, trusted=trust_type)
        path = Path(str(parsed.content))
        return replace(parsed, content=piped.file(path, part), name=default_disk_name(path, name))

    found = artifact_from_parts(
        kernel=piped.file(kernel, "the kernel") if kernel else None,
        initrd=piped.file(initrd, "the initrd") if initrd else None,
        root=disk(root, "the root disk", "root") if root else None,
        disks=[disk(text, f"disk {number}", "disk") for number, text in enumerate(disks)],
        config=piped.file(config, "the config") if config else None,
        others={name: piped.file(Path(path), name) for name, path in _distinct_others(others).items()},
        command_line=_command_line(cmdline, piped),
        reporter=reporter,
    )
    for output in outputs:
        check_not_an_input(output, found)
    return found


def pipes_as_files(artifact: Artifact, reporter: Reporter) -> Artifact:
    """*artifact*, what comes through pipes being files until the running command ends. Raises as `prepared_pipes`."""
    return click.get_current_context().with_resource(prepared_pipes(artifact, reporter=reporter, as_files=True))


def _distinct_others(others: tuple[tuple[str, str], ...]) -> Mapping[str, str]:
    by_name = dict(others)
    if len(by_name) < len(others):
        names = [name for name, _ in others]
        twice = next(name for name in names if names.count(name) > 1)
        raise UsageError(f"--other {twice}=… is given twice")
    return by_name


def _command_line(text: str | None, piped: PipedParts) -> str | None:
    """The kernel command line that `--cmdline` says: the text, or the one line of a file.

    Raises UsageError for what no kernel could be given, NotFoundError and LocalError for a file that cannot be read.
    """
    if text is None:
        return None
    if text.startswith("@"):
        text = _read_line(piped.file(Path(text[1:]), "the command line"))
    if not text or any(unicodedata.category(character) in ("Cc", "Cs") for character in text):
        what = "is empty" if not text else f"{text[:80]!r} holds line breaks or other control characters"
        raise UsageError(f"--cmdline {what}")
    return text


def _read_line(path: Path | Pipe) -> str:
    try:
        if isinstance(path, Pipe):
            content = path.stream.peek(_MAX_COMMAND_LINE + 1)
        else:
            with path.open("rb") as file:
                content = file.read(_MAX_COMMAND_LINE + 1)
    except FileNotFoundError as error:
        raise NotFoundError(f"no such file: {str(path)!r}") from error
    except OSError as error:
        raise LocalError(f"{str(path)!r} cannot be read: {error.strerror or error}") from error
    if len(content) > _MAX_COMMAND_LINE:
        raise UsageError(f"{str(path)!r} is longer than {_MAX_COMMAND_LINE} bytes: no kernel takes such a command line")
    try:
        return content.decode().removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError as error:
        raise UsageError(f"{str(path)!r} is not UTF-8 text") from error


def check_apart(reference: str, digest_file: Path | None) -> None:
    """Raises UsageError where an archive at *reference* and *digest_file* are one file."""
    written = archive_path(reference) if digest_file else None
    if written and digest_file and resolved_path(written) == resolved_path(digest_file):
        raise UsageError(f"{str(digest_file)!r} is the archive, and cannot hold the digest too")


def system(plat: str, format: str) -> str:
    """What `--plat` says that a unikernel runs on. Raises UsageError for any other format."""
    if plat and format != "unikraft":
        raise UsageError("--plat is what a unikernel runs on: it needs --format unikraft")
    if plat and not _PLAT.fullmatch(plat):
        raise UsageError(f"--plat {plat!r} is not the name of a platform, such as qemu, fc or xen")
    return plat


def platform(asked: Platform | None, os: str, arch: str) -> Platform:
    """What the machine runs on: `--OS` and `--arch` over `--platform`, and this computer where nothing is said."""
    base = asked or host_platform()
    if not os and not arch:
        return base
    return parse_platform(f"{os or base.os}/{arch or base.architecture}")

"""Parts read from pipes: each is read once, in the order of the parts, and checked like a file.

They are streamed, with two exceptions, which are spooled into temporary files first:

* all pipes, if the format stores the size of a file before its content (a tar header), or an engine builds from files;
* a pipe before a disk of undeclared type. The image is planned when all types are known, so the first bytes of that
  disk are read first; and the writer may fill the earlier pipe before the later one, and block.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

from eci_convert.disks.detect import HEAD
from eci_convert.disks.probe import ContentProbe
from eci_convert.files.spool import Spool
from eci_convert.model import DISK_ROLES, Artifact, DiskType, LocalFile, Memory, Part, Pipe
from eci_convert.progress import RECEIVING, Reporter
from eci_convert.reading.local_disks import FileEnds, resolve_by_head, resolve_disk
from eci_convert.reading.local_parts import warn_of_mixed_up_files
from eci_convert.tasks import Task


@contextmanager
def prepared_pipes(artifact: Artifact, *, reporter: Reporter, as_files: bool = False) -> Iterator[Artifact]:
    """*artifact*, ready to be planned, for the duration of the block: pipes that have to be (*as_files*: all) are
    spooled, and disks have types, None for one that is either raw or a fixed VHD, which depends on its last bytes.

    Raises what `resolve_disk` does, LocalError, and the exceptions of the pipes.
    """
    pipes = [(part, part.locator) for part in artifact.parts if isinstance(part.locator, Pipe)]
    undeclared = [place for place, (part, _) in enumerate(pipes) if part.role in DISK_ROLES and not part.disk_type]
    spooled = len(pipes) if as_files else max(undeclared, default=0)
    prepared: dict[Part, Part] = {}
    with ExitStack() as spools:
        for place, (part, pipe) in enumerate(pipes):
            if place < spooled:
                prepared[part] = _spooled(part, pipe, spools, reporter)
            elif place in undeclared:
                prepared[part] = replace(part, disk_type=resolve_by_head(pipe.stream.peek(HEAD), str(pipe), None))
        yield replace(artifact, parts=tuple(prepared.get(part, part) for part in artifact.parts))


class PipedContent:
    """The content of *part*, read from *pipe*. At its end *size* (bytes) and *disk_type* are set; None for other parts
    than disks.

    Iterating raises what `resolve_disk` does, as early as possible, and the exceptions of the pipe. *reporter* is
    warned of a kernel, an initrd or a disk that looks like another of the three.
    """

    def __init__(self, part: Part, pipe: Pipe, reporter: Reporter) -> None:
        self._part = part
        self._pipe = pipe
        self._reporter = reporter
        self.size = 0
        self.disk_type: DiskType | None = None

    def __iter__(self) -> Iterator[bytes]:
        part, pipe = self._part, self._pipe
        name, declared, trusted = str(pipe), part.disk_type, pipe.trust_declared_type
        head = pipe.stream.peek(HEAD)
        warn_of_mixed_up_files(part, FileEnds.read(Memory(content=head)), self._reporter)
        if part.role in DISK_ROLES:
            resolve_by_head(head, name, declared, trusted=trusted)
        probe = ContentProbe(pipe.stream)
        yield from probe
        self.size = probe.size
        if part.role in DISK_ROLES:
            self.disk_type = resolve_disk(FileEnds.of_stream(probe), name, declared, trusted=trusted)


def _spooled(part: Part, pipe: Pipe, spools: ExitStack, reporter: Reporter) -> Part:
    """*part* as an unnamed temporary file, checked; it is freed with *spools*."""
    spool = Spool(os.environ)
    spools.callback(spool.close)
    with Task(reporter, pipe.name, None) as task:
        task.enter(RECEIVING, None)
        spool.append(task.counted(pipe.stream))
    file = LocalFile(path=Path(f"/proc/self/fd/{spool.descriptor}"), label=pipe.label)
    kept, ends = replace(part, locator=file), FileEnds.read(file)
    if part.role in DISK_ROLES:
        disk_type = resolve_disk(ends, str(pipe), part.disk_type, trusted=pipe.trust_declared_type)
        kept = replace(kept, disk_type=disk_type)
    warn_of_mixed_up_files(kept, ends, reporter)
    return kept

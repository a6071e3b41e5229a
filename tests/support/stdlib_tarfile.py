"""Python's tarfile as of 3.12, whatever the interpreter: what is read and written here must suit it.

It is a judge and not a tool: it calls a damaged header the end of an archive, and writes device numbers and trailers
that give an archive another digest than Go's (docs/decisions/0002-own-tar-reader.md), so `eci_convert` itself has no
use for it.
"""

import json
import sys
from typing import Any

if sys.version_info >= (3, 12):
    import tarfile
else:
    import backports.tarfile as tarfile

__all__ = ["content_of", "json_in", "tarfile"]


def content_of(archive: tarfile.TarFile, member: tarfile.TarInfo | str) -> bytes:
    """The content of the regular file *member* of *archive*."""
    file = archive.extractfile(member)
    assert file
    content: bytes = file.read()
    return content


def json_in(archive: tarfile.TarFile, name: str) -> Any:
    """What the JSON file *name* in *archive* says."""
    return json.loads(content_of(archive, name))

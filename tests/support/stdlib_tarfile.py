"""Python's tarfile as of 3.12, whatever the interpreter: what is read and written here must suit it.

It is a judge and not a tool: it calls a damaged header the end of an archive, and writes device numbers and trailers
that give an archive another digest than Go's (docs/decisions/0002-own-tar-reader.md), so `eci_convert` itself has no
use for it.
"""

from backports import tarfile

try:
    from backports import tarfile
except ImportError:
    import tarfile  # type: ignore[no-redef]


__all__ = ["tarfile"]

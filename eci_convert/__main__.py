#!/usr/bin/env python3
"""The program, as `eci-convert` and as `python -m eci_convert`.

Until its own signal handling stands, SIGINT ends the process without a word: nothing has been begun, and a traceback
through half imported modules helps nobody. So that comes before every import that takes time.
"""

import _signal  # type: ignore[import-not-found]  # what `signal` is made of, without its imports
import posix

_INTERRUPTED = 130


def main() -> int:
    """Run the command line and return its exit code."""
    if _signal.getsignal(_signal.SIGINT) is _signal.default_int_handler:
        _signal.signal(_signal.SIGINT, _leave)
    from eci_convert import cli

    return cli.main()


def _leave(number: int, frame: object) -> None:
    posix._exit(_INTERRUPTED)


if __name__ == "__main__":
    raise SystemExit(main())

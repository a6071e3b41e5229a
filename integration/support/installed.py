"""Run pytest on the installed package: `python -P integration/support/installed.py [ARGUMENT OF PYTEST]…`.

pytest puts the tree before the installed packages, so whatever is imported late comes from the tree. Here eci_convert
is imported first, and refused unless it is the one that pip installed into this Python. PYTHONSAFEPATH says the same to
the programs that tests start.

In a network namespace (`unshare --net`), the loopback interface is there but off. It is switched on, for servers that
tests start in themselves; nothing else can be reached, which proves that they need nothing else.
"""

from __future__ import annotations

import fcntl
import os
import socket
import struct
import sys
import threading
from pathlib import Path

import pytest

import eci_convert

_SIOCGIFFLAGS, _SIOCSIFFLAGS, _IFF_UP = 0x8913, 0x8914, 1


def main(arguments: list[str]) -> int:
    package = Path(eci_convert.__file__).parent
    if not package.is_relative_to(sys.prefix):
        sys.exit(f"the package under test is not installed, but in {package}")
    os.environ["PYTHONSAFEPATH"] = "1"
    sys.path.append(os.getcwd())  # for the tests' own modules
    offline = len(Path("/proc/net/route").read_text().splitlines()) <= 1  # a heading, and no route
    if offline:
        _switch_on_loopback()
    print(f"testing {package}, {'offline' if offline else 'with a network'}", flush=True)
    status = pytest.main(arguments)
    _leave_at_once_if_something_runs()
    return status


def _leave_at_once_if_something_runs() -> None:
    """A thread that a test forgot would keep Python from ending, for ever: fail instead, and say which."""
    threads = [thread for thread in threading.enumerate() if thread is not threading.current_thread()]
    for thread in (thread for thread in threads if not thread.daemon):
        thread.join(10)
        if thread.is_alive():
            print(f"a test left {thread.name} running", flush=True)
            os._exit(1)


def _switch_on_loopback() -> None:
    """What `ip link set lo up` does. netdevice(7): the name of the interface, then its flags."""
    with socket.socket() as any_socket:
        flags = fcntl.ioctl(any_socket, _SIOCGIFFLAGS, struct.pack("16sh14x", b"lo", 0))
        [now] = struct.unpack("16xh14x", flags)
        if not now & _IFF_UP:
            fcntl.ioctl(any_socket, _SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", now | _IFF_UP))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""Start one engine by hand, and stop it again: `python -m integration.engines start docker28`, `… stop docker28`.

`start` prints lines for a shell to `eval`. The engine runs until `stop`, or for four hours.
"""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import shutil
import signal
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path

from integration.engines import programs
from integration.engines.containerd import containerd2, containerd16
from integration.engines.docker import docker20, docker28
from integration.engines.registry import registry

ENGINES: Mapping[str, Callable[[], AbstractContextManager[object]]] = {
    "docker20": docker20,
    "docker28": docker28,
    "containerd16": containerd16,
    "containerd2": containerd2,
    "registry": registry,
    "registry_login": lambda: registry(login=True),
    "registry_tls": lambda: registry(tls=True),
}
_FOUR_HOURS = 4 * 3600
_EXPORTED = ("DOCKER_HOST", "DOCKER_CONFIG", "CONTAINERD_ADDRESS")  # not PATH: the shell keeps its own

_CLIENTS = ("docker", "ctr")


def main(arguments: list[str]) -> int:
    match arguments:
        case ["start", engine] if engine in ENGINES:
            return _start(engine, engine)
        case ["start", engine, label] if engine in ENGINES:
            return _start(engine, label)
        case ["stop", label]:
            return _stop(label)
        case ["list"]:
            print(*sorted(path.stem for path in _folder().iterdir()), sep="\n")
            return 0
    print(f"start ENGINE [LABEL] | stop LABEL | list\nengines: {' '.join(ENGINES)}", file=sys.stderr)
    return 2


def _start(engine: str, label: str) -> int:
    if reason := programs.missing():
        print(reason, file=sys.stderr)
        return 1
    state = _folder() / f"{label}.json"
    if not state.exists():
        if os.fork() == 0:
            _serve(engine, state)
        while not state.exists():
            time.sleep(0.05)
    print(*json.loads(state.read_text())["says"], sep="\n")
    return 0


def _serve(engine: str, state: Path) -> None:
    """In a process of its own: hold the engine until told to stop, then leave without a trace."""
    os.setsid()
    log = os.open("/dev/null", os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(log, stream)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    signal.signal(signal.SIGALRM, lambda *_: sys.exit())
    signal.alarm(_FOUR_HOURS)
    try:
        with ENGINES[engine]() as running:
            part = state.with_suffix(".part")
            part.write_text(json.dumps({"pid": os.getpid(), "says": _says(running)}))
            part.rename(state)
            while True:
                signal.pause()
    finally:
        state.unlink(missing_ok=True)


def _says(engine: object) -> list[str]:
    """Lines for a shell: variables to export, then what else there is to know as comments."""
    env: Mapping[str, str] = getattr(engine, "env", {})
    exports = [f"export {name}={shlex.quote(env[name])}" for name in _EXPORTED if name in env]
    names = [name for name in dir(engine) if not name.startswith("_") and name != "env"]
    facts = [f"# {name}: {value}" for name in names if not callable(value := getattr(engine, name)) and value]
    clients = [shutil.which(client, path=env.get("PATH", "")) for client in _CLIENTS]
    return exports + facts + ([f"# clients: {' '.join(filter(None, clients))}"] if "PATH" in env else [])


def _stop(label: str) -> int:
    state = _folder() / f"{label}.json"
    if not state.exists():
        print(f"{label!r} is not running", file=sys.stderr)
        return 1
    with contextlib.suppress(ProcessLookupError):
        os.kill(json.loads(state.read_text())["pid"], signal.SIGTERM)
        while state.exists():
            time.sleep(0.05)
    state.unlink(missing_ok=True)
    return 0


def _folder() -> Path:
    folder = Path("/tmp/eci-engines-by-hand")
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""Pages of documentation as shell scripts: their `sh` blocks in order, and the `text` blocks that show what they print.

Blocks of other kinds are not run: `bash` is for what needs a program, an engine or a cluster that tests have not got.
"""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

DOCS = Path(__file__).parents[2] / "docs"
HOSTS = ("registry.example", "localhost:5000")
"""What pages call the registry; a page uses one of them."""
_BLOCK = re.compile(r"```(sh|text)\n(.*?)```", re.DOTALL)


def script_of(text: str) -> tuple[str, list[tuple[int, str]]]:
    """All blocks of the page *text* as one script that says "block N" after each, and what some of them print."""
    lines, shown = ["set -euo pipefail", "shopt -s expand_aliases"], []
    count = 0
    for kind, block in _BLOCK.findall(text):
        if kind == "text":
            shown.append((count - 1, block))
            continue
        lines += [block, f"echo 'block {count}'"]
        count += 1
    return "\n".join(lines), shown


def run_page(
    page: str, workplace: Path, registry: str, *, path: str = ""
) -> list[tuple[list[list[str]], list[list[str]]]]:
    """Run the blocks of docs/*page* in *workplace*, with the registry at *registry*: what was printed and is shown.

    Each pair is for one `text` block, in words by line. *path* are folders of programs that go before the system's.
    """
    text = (DOCS / page).read_text()
    host = next((host for host in HOSTS if host in text), HOSTS[0])
    script, shown = script_of(text)
    programs = f"{workplace}/bin:{path}/usr/local/bin:/usr/bin:/bin"
    done = run_script(script.replace(host, registry), workplace, {"PATH": programs})
    assert done.returncode == 0, f"{page}: {done.stdout}{done.stderr}"
    printed = re.split(r"block \d+\n", done.stdout.replace(registry, host))
    return [(words(printed[number]), words(expected)) for number, expected in shown]


def run_script(script: str, workplace: Path, more: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Run *script* with bash in *workplace*, in an environment of its own with *more* in it."""
    environ = {
        "HOME": str(workplace / "home"),
        "LC_ALL": "C",
        "CONTAINERS_STORAGE_CONF": str(workplace / "storage.conf"),
        **more,
    }
    return subprocess.run(
        ["bash", "-c", script], cwd=workplace, env=environ, capture_output=True, text=True, check=False, timeout=240
    )


def words(text: str) -> list[list[str]]:
    return [line.split() for line in text.splitlines()]

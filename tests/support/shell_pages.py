"""Pages of documentation as shell scripts: their `sh` blocks in order, and the `text` blocks that show what they print.

Blocks of other kinds are not run: `bash` is for what needs a program, an engine or a cluster that tests have not got.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

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
    page: str, workplace: Path, registry: str, *, variables: Mapping[str, str] = MappingProxyType({})
) -> list[tuple[list[list[str]], list[list[str]]]]:
    """Run the blocks of docs/*page* in *workplace*, with the registry at *registry*: what was printed and is shown.

    Each pair is for one `text` block, in words by line. *variables* are more of the environment.
    """
    text = (DOCS / page).read_text()
    host = next((host for host in HOSTS if host in text), HOSTS[0])
    script, shown = script_of(text)
    done = run_script(script.replace(host, registry), workplace, variables)
    assert done.returncode == 0, f"{page}: {done.stdout}{done.stderr}"
    printed = re.split(r"block \d+\n", done.stdout.replace(registry, host))
    return [(words(printed[number]), words(expected)) for number, expected in shown]


def run_script(
    script: str, workplace: Path, variables: Mapping[str, str] = MappingProxyType({})
) -> subprocess.CompletedProcess[str]:
    """Run *script* with bash in *workplace*, in an environment of its own with *variables* in it."""
    environ = {
        **variables,
        "PATH": f"{workplace}/bin:/usr/local/bin:/usr/bin:/bin",
        "HOME": str(workplace / "home"),
        "LC_ALL": "C",
        "CONTAINERS_STORAGE_CONF": str(workplace / "storage.conf"),
    }
    return subprocess.run(
        ["bash", "-c", script], cwd=workplace, env=environ, capture_output=True, text=True, check=False, timeout=240
    )


def words(text: str) -> list[list[str]]:
    """The words of *text*, line by line."""
    return [line.split() for line in text.splitlines()]

"""The how-to pages that use other tools are true: each command line is run, with the tools where they are installed.

integration/install_engines puts oras and cosign into a folder of its own. Where one is missing, its pages are skipped.
"""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

import pytest

from eci_convert.testing import FaultyRegistry
from tests.support.fake_docker import a_docker
from tests.support.shell_pages import run_page

ENGINES = Path(os.environ.get("ECI_CONVERT_ENGINES", "/opt/eci-convert-engines")) / "unstable/usr/bin"
ORAS = shutil.which("oras") or shutil.which("oras", path=ENGINES)
COSIGN = shutil.which("cosign") or shutil.which("cosign", path=ENGINES)


@pytest.mark.skipif(not ORAS, reason="no oras here")
@pytest.mark.parametrize("page", ["migrate-from-oras.md", "sboms.md"])
def test_a_page_that_uses_oras(page: str, workplace: Path, registry: FaultyRegistry) -> None:
    over_http(workplace, ORAS, "--plain-http")

    for printed, shown in run_page(f"howto/{page}", workplace, registry.host):
        assert printed == shown


@pytest.mark.skipif(not COSIGN, reason="no cosign here")
def test_the_page_that_uses_cosign(workplace: Path, registry: FaultyRegistry) -> None:
    over_http(workplace, COSIGN, "--allow-http-registry")

    for printed, shown in run_page("howto/sign.md", workplace, registry.host):
        assert printed == shown


def test_the_page_that_uses_a_docker_engine(workplace: Path, registry: FaultyRegistry, tmp_path: Path) -> None:
    with a_docker(tmp_path) as engine:
        pairs = run_page("howto/migrate-from-docker-cp.md", workplace, registry.host, variables=engine.environ)

    assert not pairs
    assert any(re.search("archive", request) for request in engine.log)


def over_http(workplace: Path, program: str | None, option: str) -> None:
    """Put *program* on the PATH of the pages, with *option*: their registry speaks plain HTTP, and does not say so."""
    assert program
    script = workplace / "bin" / Path(program).name
    words = "attach copy discover pull push sign verify"
    both = "--from-plain-http --to-plain-http" if option == "--plain-http" else option
    script.write_text(
        "#!/bin/sh\n"
        f'case "$1" in copy) shift; exec {program} copy {both} "$@";; esac\n'
        f'for word in {words}; do [ "$1" != "$word" ] || {{ shift; exec {program} "$word" {option} "$@"; }}; done\n'
        f'exec {program} "$@"\n'
    )
    script.chmod(0o755)

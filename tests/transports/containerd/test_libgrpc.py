"""Where there is no gRPC library, containerd: says what to install, and every other transport works."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

PROGRAM = """
import sys
sys.modules["grpc"] = None  # importing it raises ImportError
from eci_convert.cli import main
print(main(["build", "--kernel", "kernel", "--to", "oci:layout:machine:1"]))
print(main(["copy", "oci:layout:machine:1", "containerd:machine:1"]))
print(main(["inspect", "containerd:machine:1"]))
"""


def test_without_grpc_the_error_names_the_package(tmp_path: Path) -> None:
    (tmp_path / "kernel").write_bytes(b"kernel")

    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True, cwd=tmp_path)

    lines = [
        "eci-convert: error: containerd: needs the package grpcio, which is not installed",
        "hint: pip install grpcio (without a wheel for this computer, that needs a C++ compiler)",
    ]
    assert done.stderr.splitlines() == 2 * lines
    assert [line for line in done.stdout.splitlines() if line.isdigit()] == ["0", "9", "9"]

"""Push a kernel and disks as an image that Docker can hold, and show how it goes.

python examples/push_with_progress.py docker://registry.example/edge/vm:1 vmlinuz disk.qcow2 [more disks]
"""

from __future__ import annotations

import sys

import eci_convert as ec


def main(reference: str, kernel: str, root: str, *disks: str) -> None:
    machine = ec.Machine(kernel=kernel, root=root, disks=disks, cmdline="console=ttyS0")
    progress = ec.RichProgress() if sys.stderr.isatty() else ec.PlainProgress()
    pushed = ec.push(machine, reference, format="legacy", compression="zstd:3", progress=progress)
    print(f"{pushed.reference} is {pushed.digest}: {pushed.bytes_sent} bytes sent, {pushed.bytes_reused} were there")


if __name__ == "__main__":
    main(*sys.argv[1:])

"""Write the root disk of an image to standard output, without a file in between.

    python examples/extract_to_pipe.py docker://registry.example/edge/vm:1 | qemu-img convert -O raw /dev/stdin disk.raw

The bytes are verified as they pass: the exit code says whether they were the ones that the image promises.
"""

from __future__ import annotations

import shutil
import sys

import eci_convert as ec


def main(reference: str) -> int:
    try:
        with ec.open_image(reference) as image, image.open(image.root) as disk:
            shutil.copyfileobj(disk, sys.stdout.buffer, 1 << 20)
        sys.stdout.buffer.flush()
    except ec.EciError as error:
        print(f"{error}{'; ' if error.hint else ''}{error.hint}", file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))

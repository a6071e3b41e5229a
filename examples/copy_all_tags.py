"""Copy several tags of a repository into an OCI image layout, every digest kept; what fails does not stop the rest.

python examples/copy_all_tags.py docker://registry.example/edge/vm oci:mirror 1.0 1.1 2.0
"""

from __future__ import annotations

import sys

import eci_convert as ec


def main(repository: str, layout: str, *tags: str) -> int:
    worst = 0
    for tag in tags:
        try:
            copied = ec.copy(f"{repository}:{tag}", f"{layout}:{tag}", platform="all", progress=ec.PlainProgress())
        except ec.EciError as error:
            print(f"{tag}: {error}", file=sys.stderr)
            worst = max(worst, error.exit_code)
        else:
            print(f"{tag}: {copied.digest} ({copied.bytes_sent} bytes copied)")
    return worst


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))

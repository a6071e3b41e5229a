"""The block of zeros that stands for every MiB of every hole: whoever meets it need not look into it."""

from __future__ import annotations

from typing import Final

BLOCK: Final = 1 << 20
"""How long blocks are, in bytes."""
ZEROS: Final = bytes(BLOCK)

"""The strategy for an index that exists already, with KraftKit's names, and the writing of indexes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from eci_convert.errors import UsageError
from eci_convert.options import TransferOptions
from eci_convert.progress import NULL_REPORTER, Reporter


class Strategy(StrEnum):
    """What becomes of an index that a name stands for already, in KraftKit's words."""

    MERGE = "merge"
    OVERWRITE = "overwrite"
    ABORT = "abort"
    PROMPT = "prompt"


Choose = Callable[[], Strategy]
"""Asks the user for a strategy, which is not PROMPT. Raises UsageError if there is no terminal."""


def _nobody() -> Strategy:
    raise UsageError("nobody can be asked for a strategy: say merge, overwrite or abort")


@dataclass(frozen=True, slots=True, kw_only=True)
class AppendOptions:
    """How an index is written. *name* is the reference, for dialects that write it down; *annotations* are more of the
    index; *choose* is who answers where the strategy is to prompt. *dry_run* changes nothing."""

    name: str = ""
    annotations: Mapping[str, str] = field(default_factory=dict, hash=False)
    max_size: int | None = None
    concurrency: int = 1
    dry_run: bool = False
    reporter: Reporter = NULL_REPORTER
    choose: Choose = _nobody

    @property
    def transfer(self) -> TransferOptions:
        """How the bytes of the images are moved."""
        return TransferOptions(
            reporter=self.reporter, concurrency=self.concurrency, max_size=self.max_size, dry_run=self.dry_run
        )

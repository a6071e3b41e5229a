"""Settings: what a transport needs to reach its images."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from eci_convert.progress import NULL_REPORTER, Reporter


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How a place is spoken to. Times are in seconds. None of it is a default for an unknown: "" and None mean
    "as the environment and the files of the user say". *dry_run*: nothing is to be changed there. *mirrors*: an image
    may be read from where registries.conf or Docker's daemon.json say that copies of it are, and a bare name is looked
    for among their short names; not for what is read in order to be changed."""

    plain_http: bool = False
    insecure: bool = False
    ca_file: str = ""
    cert_file: str = ""
    key_file: str = ""
    authfile: str = ""
    username: str = ""
    password: str = field(default="", repr=False)
    concurrency: int = 4
    retries: int = 5
    timeout: float = 60.0
    compat: str = "auto"
    address: str = ""
    namespace: str = ""
    dry_run: bool = False
    mirrors: bool = False
    environ: Mapping[str, str] = field(default_factory=dict, repr=False, hash=False)
    reporter: Reporter = NULL_REPORTER

"""Options: how transports are accessed, for programs that need more than the defaults."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from eci_convert.errors import UsageError
from eci_convert.operations.conversion_cache import conversions_directory
from eci_convert.options import TransferOptions
from eci_convert.progress import NULL_REPORTER, Reporter
from eci_convert.reading.resume import default_directory
from eci_convert.transports.settings import Settings

_COMPAT = ("auto", "strict")


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """Connections, credentials and limits. Defaults come from the environment and the user's configuration files.

    *environ* None is `os.environ`, so that `docker login`, `DOCKER_HOST` and proxies apply. *address* and *namespace*
    are containerd's. *compat* "strict" pushes manifests unchanged or fails; "auto" leaves out an `artifactType` that a
    registry refuses. *timeout* is in seconds without any data. *resume* keeps partial downloads in the user's cache, so
    that the next run resumes them.

    Raises UsageError for an unknown *compat*, and for numbers that the command line refuses too.

    >>> "secret" in repr(Options(username="me", password="secret", concurrency=8))
    False
    """

    plain_http: bool = False
    insecure: bool = False
    ca_file: str = ""
    cert_file: str = ""
    key_file: str = ""
    authfile: str = ""
    username: str = ""
    password: str = field(default="", repr=False)
    address: str = ""
    namespace: str = ""
    compat: str = "auto"
    concurrency: int = 4
    retries: int = 5
    timeout: float = 60.0
    resume: bool = True
    environ: Mapping[str, str] | None = field(default=None, repr=False, hash=False)

    def __post_init__(self) -> None:
        if self.compat not in _COMPAT:
            raise UsageError(f"{self.compat!r} is not a value of compat: use one of {', '.join(_COMPAT)}")
        for name, value, least, most in (
            ("concurrency", self.concurrency, 1, 64),
            ("retries", self.retries, 0, 100),
            ("timeout", self.timeout, 0.1, float("inf")),
        ):
            if not least <= value <= most:
                limits = f"{least} or more" if most == float("inf") else f"from {least} to {most}"
                raise UsageError(f"{name} is {value!r}: it must be {limits}")

    def settings(self, progress: Reporter | None = None, *, dry_run: bool = False) -> Settings:
        """The settings of transports."""
        return Settings(
            plain_http=self.plain_http,
            insecure=self.insecure,
            ca_file=self.ca_file,
            cert_file=self.cert_file,
            key_file=self.key_file,
            authfile=self.authfile,
            username=self.username,
            password=self.password,
            address=self.address,
            namespace=self.namespace,
            compat=self.compat,
            concurrency=self.concurrency,
            retries=self.retries,
            timeout=self.timeout,
            dry_run=dry_run,
            environ=self.environment,
            reporter=progress or NULL_REPORTER,
        )

    def transfer(
        self, progress: Reporter | None = None, *, max_size: int | None = None, dry_run: bool = False
    ) -> TransferOptions:
        """The options of operations."""
        return TransferOptions(
            reporter=progress or NULL_REPORTER,
            concurrency=self.concurrency,
            max_size=max_size,
            resume_directory=self._resume_directory(),
            conversions_directory=conversions_directory(self.environment) if self.resume else None,
            dry_run=dry_run,
        )

    @property
    def environment(self) -> Mapping[str, str]:
        """The environment variables that are read."""
        return os.environ if self.environ is None else self.environ

    def _resume_directory(self) -> Path | None:
        return default_directory(self.environment) if self.resume else None

"""Settings: how a transport is accessed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from eci_convert.progress import NULL_REPORTER, Reporter


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How a transport is accessed. Times are in seconds. "" and None mean "as configured in the user's environment and
    files". *dry_run*: nothing is changed. *mirrors*: an image may be read from the mirrors that registries.conf or
    Docker's daemon.json configure, and a bare name may be a short name of registries.conf; not for images that are
    read in order to be changed. *origin*: what `for_reading` derived them from."""

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
    origin: Settings | None = field(default=None, repr=False, compare=False)

    def for_reading(self) -> Settings:
        """The same settings for an image that is only read: mirrors and short names apply."""
        return replace(self, mirrors=True, origin=self.origin or self)

    def is_same_login(self, other: Settings) -> bool:
        """Whether the login of *other* was given together with this one: two Settings that the caller created, even if
        equal, are separate logins."""
        return (self.origin or self) is (other.origin or other)

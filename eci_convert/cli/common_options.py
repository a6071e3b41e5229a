"""CommonOptions: the values of the options that every command has."""

from __future__ import annotations

import logging
import os
import sys
from dataclasses import dataclass
from typing import Any, TypeVar

import click
from click.core import ParameterSource

from eci_convert.cli import output, progress
from eci_convert.cli.malloc import tune_malloc
from eci_convert.cli.side_options import side_settings
from eci_convert.display.reporter import WarningsOnly
from eci_convert.errors import UsageError
from eci_convert.oci.platform import Platform, parse_platform
from eci_convert.options import TransferOptions
from eci_convert.transports import default_transport
from eci_convert.transports.settings import Settings

T = TypeVar("T")

_SETTINGS = (
    "plain_http", "insecure", "ca_file", "cert_file", "key_file", "authfile", "address", "namespace", "compat",
    "concurrency", "retries", "timeout",
)  # fmt: skip
_DEFAULTS: dict[str, Any] = {
    "platforms": (), "username": "", "password_stdin": False, "progress": "none", "verbose": False,
}  # fmt: skip
"""Common options that some commands are without."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CommonOptions:
    """The values of the options that commands share. *destination* differs from *settings* where a command has
    options for each side; *one_login*: a name and a password were given that are for both. *given* are the parameters,
    by name, that the command line itself gives, and not the environment."""

    settings: Settings
    reporter: WarningsOnly
    destination: Settings
    one_login: bool
    platforms: tuple[Platform, ...]
    json: bool
    verbose: bool
    quiet: bool = False
    given: frozenset[str] = frozenset()

    @property
    def platform(self) -> Platform | None:
        """The one platform asked for. Raises UsageError where several are."""
        if len(self.platforms) > 1:
            raise UsageError("--platform may be given once here")
        return self.platforms[0] if self.platforms else None

    @property
    def reading(self) -> Settings:
        """The settings for an image that is only read."""
        return self.settings.for_reading()

    def transfer(self, max_size: int | None = None) -> TransferOptions:
        """How bytes are moved."""
        from eci_convert.operations.conversion_cache import conversions_directory
        from eci_convert.reading.resume import default_directory

        return TransferOptions(
            reporter=self.settings.reporter,
            concurrency=self.settings.concurrency,
            max_size=max_size,
            resume_directory=default_directory(self.settings.environ),
            conversions_directory=conversions_directory(self.settings.environ),
            dry_run=self.settings.dry_run,
        )

    @property
    def default_transport(self) -> str:
        """The transport of a bare name: the Docker engine, or what the user prefers. Raises UsageError."""
        return default_transport(self.settings.environ)

    def unless(self, reason: str, name: str, value: T, default: T) -> T:
        """*value* of the parameter *name*; *default* where a *reason* is given why it would have no effect.

        Raises UsageError where the command line gives it for nothing. An environment variable is for every command,
        and may have no effect.
        """
        if not reason:
            return value
        if name in self.given:
            raise UsageError(reason)
        return default


def common_options(words: dict[str, Any]) -> CommonOptions:
    """The common options among *words*, the parameters of the running command, which they are taken out of."""
    context = click.get_current_context()
    given = frozenset(name for name in words if context.get_parameter_source(name) is ParameterSource.COMMANDLINE)
    for name, default in _DEFAULTS.items():
        words.setdefault(name, default)
    quiet, debug, verbose = words.pop("quiet"), words.pop("debug"), words.pop("verbose")
    log_to_stderr(logging.DEBUG if debug else logging.INFO if verbose and not quiet else logging.WARNING)
    tune_malloc()
    reporter = progress.reporter(words.pop("progress"), quiet=quiet, debug=debug)
    common = Settings(
        dry_run=words.get("dry_run", False),
        environ=os.environ,
        reporter=reporter,
        **{name: words.pop(name) for name in _SETTINGS if name in words},
    )
    source, destination, one_login = side_settings(common, words)
    return CommonOptions(
        platforms=tuple(map(parse_platform, words.pop("platforms"))),
        json=words.pop("as_json"),
        verbose=verbose,
        quiet=quiet,
        given=given,
        settings=source,
        reporter=reporter,
        destination=destination,
        one_login=one_login,
    )


def log_to_stderr(level: int) -> None:
    """Has our own log of *level* written to standard error, without secrets; with DEBUG that of libraries too."""
    ours = logging.getLogger("eci_convert")
    ours.setLevel(logging.NOTSET if level == logging.DEBUG else level)
    if level == logging.WARNING:
        return
    from eci_convert.redaction import redacted, secrets_in

    secrets = secrets_in(os.environ, sys.argv[1:])

    class Redacting(output.LogLines):
        def format(self, record: logging.LogRecord) -> str:
            return redacted(super().format(record), secrets)

    handler = logging.StreamHandler(sys.stderr)
    if level == logging.INFO:
        handler.setFormatter(Redacting("eci-convert: %(message)s"))
        ours.handlers[:], ours.propagate = [handler], False
        return
    handler.setFormatter(Redacting("%(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(handlers=[handler], level=logging.DEBUG)
    for noisy in ("urllib3", "docker", "requests"):
        logging.getLogger(noisy).setLevel(logging.INFO)

"""Options of connections, and the transports that each applies to."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import click

from eci_convert.cli.common_options import CommonOptions
from eci_convert.cli.output import info
from eci_convert.cli.param_types import CONNECTION, CountParam, Option, PathParam, SecondsParam
from eci_convert.cli.side_options import SIDES
from eci_convert.errors import UsageError
from eci_convert.transports import SCHEMES, Scheme, check_one_registry, parse_place, parse_reference

_FILE = PathParam(str, may_be_empty=True)


def _option(*names: str, **attributes: Any) -> Callable[[Any], Any]:
    return click.option(*names, cls=Option, group=CONNECTION, **attributes)


CONNECTION_OPTIONS: Final[tuple[Callable[[Any], Any], ...]] = (
    _option("--plain-http", is_flag=True, help="Use plain HTTP."),
    _option("--insecure", is_flag=True, help="Disable certificate verification."),
    _option("--ca-file", type=_FILE, default="", metavar="FILE", help="CA certificates to trust beside the system's."),
    _option("--cert-file", type=_FILE, default="", metavar="FILE", help="Client certificate."),
    _option("--key-file", type=_FILE, default="", metavar="FILE", help="Key of the client certificate."),
    _option("--authfile", type=_FILE, default="", metavar="FILE", help="Credentials as `docker login` stores them."),
    _option("--username", default="", metavar="NAME", help="User name; password from --password-stdin or "
            "ECI_CONVERT_PASSWORD."),
    _option("--password-stdin", is_flag=True, help="Read the password from standard input."),
    _option("--address", default="", metavar="SOCKET", help="Socket of containerd."),
    _option("--namespace", default="", metavar="NAME", help="Namespace of containerd."),
    _option("--concurrency", default=4, type=CountParam(1, 64), metavar="N", show_default=True,
            help="Maximum number of parallel transfers."),
    _option("--retries", default=5, type=CountParam(0, 100), metavar="N", show_default=True,
            help="Maximum number of retries."),
    _option("--timeout", default=60.0, type=SecondsParam(0.1), metavar="SECONDS", show_default=True,
            help="How long to wait for a response."),
)  # fmt: skip

compat = _option(
    "--compat",
    default="auto",
    type=click.Choice(["auto", "strict"]),
    show_default=True,
    help="Whether to fall back to an older manifest where a registry refuses one.",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Use:
    """Names of the transports that an option is for, when they are read from and when they are written to."""

    what: str
    read: frozenset[str]
    written: frozenset[str]


_EVERY = frozenset(scheme.name for scheme in SCHEMES)
_DIALLED = frozenset(scheme.name for scheme in SCHEMES if scheme.connects)
_REGISTRY = _Use(what="registries", read=frozenset({"docker"}), written=frozenset({"docker"}))
_CONTAINERD = _Use(what="containerd", read=frozenset({"containerd"}), written=frozenset({"containerd"}))

USES: Final[Mapping[str, _Use]] = {
    **dict.fromkeys(
        ("plain_http", "insecure", "ca_file", "cert_file", "key_file", "authfile", "username", "password_stdin",
         "retries"), _REGISTRY),
    "compat": _Use(what="registries that are written to", read=frozenset(), written=frozenset({"docker"})),
    **dict.fromkeys(("address", "namespace"), _CONTAINERD),
    "timeout": _Use(what="registries, engines and stores", read=_DIALLED, written=_DIALLED | {"oci"}),
    "concurrency": _Use(what="registries and destinations", read=frozenset({"docker"}), written=_EVERY),
}  # fmt: skip
"""Which transports each connection option is for, by the option's parameter."""


def check_connections(
    call: CommonOptions,
    *,
    reads: Iterable[str] = (),
    writes: Iterable[str] = (),
    places: Sequence[str] = (),
    default: str = "",
    accepted: Iterable[str] = (),
) -> None:
    """Says with -v which references are read and written. *places* need not name an image (`docker-daemon:`), and are
    both. *default* is the transport of a bare name.

    Raises UsageError for one login that several registries would get, for a credentials file that is missing, and for a
    connection option on the command line that is for none of the transports, but for those that are *accepted* (in
    scripts written for another tool).
    """
    read = {reference: parse_reference(reference, default)[0] for reference in reads}
    written = {reference: parse_reference(reference, default)[0] for reference in writes}
    for place in places:
        read[place] = written[place] = parse_place(place)[0]
    if call.one_login:
        check_one_registry([*read, *written], default)
    for parameter in sorted(call.given - frozenset(accepted)):
        side, name = _split(parameter)
        if name in USES:
            sources, targets = ({} if side == "dest" else read), ({} if side == "src" else written)
            _check(parameter, USES[name], sources, targets)
        if name == "authfile":
            _check_exists(click.get_current_context().params[parameter])
    if call.verbose:
        for verb, references in (("reading", read), ("writing", written)):
            for reference, scheme in references.items():
                if reference not in places:
                    info(f"{verb} {reference} ({scheme.what})")


def _check(parameter: str, use: _Use, read: Mapping[str, Scheme], written: Mapping[str, Scheme]) -> None:
    names = {scheme.name for scheme in read.values()} & use.read
    names |= {scheme.name for scheme in written.values()} & use.written
    if names:
        return
    option = "--" + parameter.replace("_", "-")
    references = " and ".join(dict.fromkeys([*read, *written]))
    error = UsageError(f"{option} has no effect on {references}: it is for {use.what}")
    error.add_note(f"hint: for every command to which it applies, set ECI_CONVERT_{parameter.upper()}")
    raise error


def _check_exists(path: str) -> None:
    """Raises UsageError for a credentials file that is missing: it is read only if a registry asks for a login."""
    if path and not os.path.exists(path):
        raise UsageError(f"cannot read the credentials file {path!r}: no such file")


def _split(parameter: str) -> tuple[str, str]:
    side, _, name = parameter.partition("_")
    return (side, name) if side in SIDES else ("", parameter)

"""`eci-convert doctor`: diagnoses this computer and a registry."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import click

from eci_convert._version import __version__
from eci_convert.cli import output
from eci_convert.cli.connection_options import USES, check_connections
from eci_convert.cli.options import CommonOptions, command
from eci_convert.errors import UsageError
from eci_convert.operations.doctor.programs import Finding, look_around
from eci_convert.operations.doctor.registry import RegistryReport, describe_limit, examine

_EXAMPLES = """
eci-convert doctor
eci-convert doctor registry.example:5000
eci-convert doctor docker://registry.example/edge/machine:1.2 --json
"""


@command(
    click.argument("subject", default="", metavar="[HOST|REF]"),
    examples=_EXAMPLES,
    without=frozenset({"platforms", "concurrency"}),
)
def doctor(call: CommonOptions, *, subject: str) -> None:
    """Tell what is here and what would be used: engines, podman, containerd, qemu-img.

    With a registry's HOST, or an image REF: whether it answers, how it wants to be asked, which credential would go to
    it and where that comes from (never the secret), proxies, certificates, mirrors, and limits learnt. The exit code is
    that of what went wrong there.
    """
    _check_options(call, subject)
    if not subject:
        findings = look_around(call.settings)
        return output.json(_computer_json(findings)) if call.json else _tell_computer(findings)
    report = examine(subject, call.settings)
    if call.json:
        output.json(_registry_json(report))
    else:
        output.table(_registry_rows(report))
    if report.error:
        output.flush()
        raise report.error
    return None


def _check_options(call: CommonOptions, subject: str) -> None:
    """Raises UsageError for a connection option of the command line that has no effect on *subject*, "" for this
    computer."""
    if subject:
        return check_connections(call, reads=[subject], default="docker")
    for name in sorted(call.given & USES.keys()):
        if USES[name].read == {"docker"}:
            option = "--" + name.replace("_", "-")
            raise UsageError(f"{option} has no effect here: it is for registries, and none is named")
    return None


def _computer_json(findings: tuple[Finding, ...]) -> dict[str, Any]:
    return {
        "version": __version__,
        "python": sys.version.split()[0],
        "findings": [
            {
                "name": one.name,
                "found": one.found,
                "version": one.version or None,
                "where": one.where or None,
                "detail": one.detail or None,
            }
            for one in findings
        ],
    }


def _tell_computer(findings: tuple[Finding, ...]) -> None:
    output.line(f"eci-convert {__version__}, Python {sys.version.split()[0]}")
    output.table(
        (one.name, (one.version or "found") if one.found else "not found", one.where or "-", one.detail)
        for one in findings
    )


def _registry_json(report: RegistryReport) -> dict[str, Any]:
    credential = report.credential
    return {
        "registry": report.registry,
        "reference": report.reference or None,
        "url": report.url or None,
        "answers": bool(report.status),
        "status": report.status or None,
        "milliseconds": report.milliseconds if report.status else None,
        "authentication": [
            {"scheme": one.scheme, "realm": one.parameters.get("realm"), "service": one.parameters.get("service")}
            for one in report.challenges
        ],
        "credential": {"from": credential.origin, "username": credential.username or None} if credential else None,
        "login": report.login or None,
        "proxy": report.proxy or None,
        "certificates": list(report.certificates),
        "certificate_verified": report.verified,
        "places": list(report.places),
        "rule": report.rule or None,
        "limits": dict(report.limits),
        "digest": report.digest or None,
        "error": str(report.error) if report.error else None,
    }


def _registry_rows(report: RegistryReport) -> Iterator[tuple[str, str]]:
    yield "registry:", report.registry
    if report.rule:
        yield "asked:", f"{', then '.join(report.places)} (by {report.rule})"
    if report.url:
        yield "url:", report.url
    yield "answers:", f"{report.status} in {report.milliseconds} ms" if report.status else "no"
    if report.url.startswith("https:") and report.status:
        yield "certificate:", "verified" if report.verified else "not checked"
    for file in report.certificates:
        yield "certificates:", file
    yield "proxy:", report.proxy or "none"
    for challenge in report.challenges:
        realm = challenge.parameters.get("realm", "")
        yield "wants:", f"{challenge.scheme} {realm}".strip()
    yield "credential:", _credential(report)
    if report.login:
        yield "login:", report.login
    for name, value in report.limits.items():
        yield "limit learnt:", f"{describe_limit(name)}: {value}"
    if report.digest:
        yield "image:", f"{report.reference} is {report.digest}"


def _credential(report: RegistryReport) -> str:
    credential = report.credential
    if credential is None:
        return "none"
    kind = f"user {credential.username!r}" if credential.username else "a token"
    return f"{kind}, from {credential.origin}"

"""One registry: whether it answers, its authentication, and the login that would be used. Never a secret."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from eci_convert.errors import AccessDeniedError, EciError, UsageError
from eci_convert.oci.reference import Reference
from eci_convert.transports import open_source, parse_reference
from eci_convert.transports.credentials.config_files import Credential
from eci_convert.transports.credentials.lookup import credential_for
from eci_convert.transports.registry.auth.challenge import Challenge, parse_challenges
from eci_convert.transports.registry.client import RegistryClient
from eci_convert.transports.registry.endpoints.choice import Candidate, candidate_endpoints
from eci_convert.transports.registry.http import tls
from eci_convert.transports.registry.http.proxies import proxy_for
from eci_convert.transports.registry.http.url import Url
from eci_convert.transports.registry.state.host_facts import HostFacts
from eci_convert.transports.settings import Settings

_ANYBODY = "doctor"
"""The repository asked about if none is named; only its name is sent, in the scope of a token."""

_TIMEOUT = 15.0
_PINGED = (200, 401, 403, 404, 405)
_LIMITS = {
    "largest": "bytes in one request, at most",
    "one_piece": "a blob is taken in one piece only",
    "artifact_type": "manifests with an artifactType",
    "mounts_ignored": "requests to mount a blob that it did not heed",
}


@dataclass(slots=True, kw_only=True)
class RegistryReport:
    """What became of the questions, as far as they got. *error* is what stopped them; None: nothing did.

    *status* is that of the answer to an anonymous greeting, 0 where there was none. *login* says what became of a login
    with *credential*. *digest* is what the reference stands for, "" where none was asked for.
    """

    registry: str
    reference: str = ""
    places: tuple[str, ...] = ()
    rule: str = ""
    url: str = ""
    status: int = 0
    milliseconds: int = 0
    challenges: tuple[Challenge, ...] = ()
    credential: Credential | None = None
    login: str = ""
    proxy: str = ""
    certificates: tuple[str, ...] = ()
    verified: bool = False
    limits: Mapping[str, object] = field(default_factory=dict)
    digest: str = ""
    error: EciError | None = None


def parse_subject(text: str) -> tuple[Reference, bool]:
    """The registry that *text* names, `HOST[:PORT]` or a reference; whether it names an image there. Raises UsageError.

    >>> str(parse_subject("registry.example:5000")[0].host), parse_subject("registry.example/machine:1")[1]
    ('registry.example:5000', True)
    """
    scheme, rest = parse_reference(text, "docker")
    if scheme.name != "docker":
        raise UsageError(f"{text!r} is in no registry: name a registry's host, or an image in one")
    host = rest.rstrip("/")
    if "/" not in host and "@" not in host and ("." in host or ":" in host or host == "localhost"):
        try:
            return Reference.parse(f"{host}/{_ANYBODY}"), False
        except UsageError as error:
            raise UsageError(f"{text!r} is neither a registry's host nor an image") from error
    return Reference.parse(rest), True


def examine(text: str, settings: Settings) -> RegistryReport:
    """What there is to know of the registry, or image, that *text* names. It is greeted, and logged in to; nothing is
    changed there. Raises UsageError; what goes wrong on the way is in the report."""
    reference, is_image = parse_subject(text)
    report = RegistryReport(registry=reference.host, reference=str(reference) if is_image else "")
    settings = replace(
        settings, retries=min(settings.retries, 1), timeout=min(settings.timeout, _TIMEOUT), mirrors=True
    )
    try:
        endpoint = _endpoints(report, reference, settings)
        report.limits = _limits(endpoint.reference, settings)
        report.credential = credential_for(endpoint.reference, endpoint.settings)
        with_login = RegistryClient(endpoint.reference, endpoint.settings, insecure=endpoint.insecure)
        try:
            _greet(report, with_login, endpoint)
            _log_in(report, with_login)
        finally:
            with_login.close()
        if is_image:
            with open_source(f"docker://{reference}", settings) as source:
                report.digest = str(source.resolve().digest)
    except EciError as error:
        report.error = error
    return report


def _endpoints(report: RegistryReport, reference: Reference, settings: Settings) -> Candidate:
    """The registry itself, or what stands in its place; its mirrors are reported by their names alone."""
    candidates = candidate_endpoints(reference, settings)
    suffix = "" if report.reference else f"/{_ANYBODY}"
    report.places = tuple(candidate.reference.name.removesuffix(suffix) for candidate in candidates)
    report.rule = next((candidate.rule.origin for candidate in candidates if candidate.rule), "")
    return candidates[-1]


def _greet(report: RegistryReport, client: RegistryClient, endpoint: Candidate) -> None:
    """Asks the registry's root who it is, without saying who we are."""
    base = client.base
    report.url = f"{base.scheme}://{base.authority}/v2/"
    proxy = proxy_for(base, endpoint.settings.environ)
    report.proxy = f"{proxy.host}:{proxy.port}" if proxy else ""
    report.certificates = _certificates(base, endpoint.settings)
    anonymous = RegistryClient(endpoint.reference, endpoint.settings, logs_in=False, insecure=endpoint.insecure)
    started = time.monotonic()
    try:
        with anonymous.request("GET", base.at("/v2/"), accept=_PINGED) as answer:
            report.milliseconds = round((time.monotonic() - started) * 1000)
            report.status = answer.status
            report.challenges = parse_challenges(answer.header_lines("WWW-Authenticate"))
    finally:
        anonymous.close()
    report.verified = base.scheme == "https" and not client.is_insecure


def _log_in(report: RegistryReport, client: RegistryClient) -> None:
    if report.status != 401:
        report.login = "not asked for"
        return
    if report.credential is None:
        report.login = "anonymous: it asks for one, and no credential is stored"
        return
    try:
        with client.request("GET", client.base.at("/v2/"), accept=(200, 404)):
            report.login = "accepted"
    except AccessDeniedError:
        report.login = "refused"
        raise


def _certificates(base: Url, settings: Settings) -> tuple[str, ...]:
    """The files and folders that say whom to believe, and who we are, beside the system's authorities."""
    if base.scheme != "https":
        return ()
    flags = (settings.ca_file, settings.cert_file, settings.key_file)
    return (*filter(None, flags), *map(str, tls.folders(base, settings)))


def _limits(reference: Reference, settings: Settings) -> Mapping[str, object]:
    host = HostFacts(reference.host, settings)
    return {name: value for name in _LIMITS if (value := host.get(name)) is not None}


def describe_limit(name: str) -> str:
    """What a limit of `RegistryReport.limits` means."""
    return _LIMITS[name]

"""The rule for a reference, and the endpoints from which an image is read, in the order of preference."""

from __future__ import annotations

from dataclasses import dataclass, replace

from eci_convert.errors import AccessDeniedError, LocalError, UsageError
from eci_convert.oci.reference import HUB, Reference
from eci_convert.transports.registry.endpoints import daemon_json, registries_conf
from eci_convert.transports.registry.endpoints.rules import PullFromMirror, RegistryEndpoint, RegistryRule, match_length
from eci_convert.transports.settings import Settings

_MIRROR_RETRIES = 1
_MIRROR_TIMEOUT = 15.0
"""Seconds, as in dockerd: the next endpoint may respond sooner."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """An endpoint that may have an image: its *reference* there, and the settings for its host.

    *rule* is the rule that names the endpoint, None for the image's own registry.
    """

    reference: Reference
    settings: Settings
    insecure: bool = False
    rule: RegistryRule | None = None


def is_insecure(reference: Reference, settings: Settings) -> bool:
    """Whether the user's files allow connections to the registry of *reference* without verified TLS.

    Raises AccessDeniedError, with file and line, if they block the registry, and LocalError for invalid files.
    """
    rule = registries_conf.load_rules(settings.environ).rule_for(str(reference))
    if rule is None:
        return False
    if rule.blocked:
        error = AccessDeniedError(f"{reference} is blocked by {rule.blocked_at}")
        error.add_note(f"hint: remove `blocked = true` from the rule for {rule.prefix!r} in that file")
        raise error
    return rule.endpoint.insecure


def candidate_endpoints(reference: Reference, settings: Settings) -> tuple[Candidate, ...]:
    """The endpoints for the image *reference*: its mirrors, and last the registry itself or its configured location.

    Login, client certificate and lowered security of *settings* apply to the host that they were given for alone.
    Raises LocalError.
    """
    own = Candidate(reference=reference, settings=settings)
    rule = registries_conf.load_rules(settings.environ).rule_for(str(reference))
    if rule is None and reference.host == HUB:
        rule = daemon_json.hub_rule(settings.environ)
    if rule is None or rule.blocked:
        return (own,)
    mirrors = [mirror for mirror in rule.mirrors if _serves(mirror, rule, by_digest=reference.digest is not None)]
    chosen = [_candidate(reference, settings, rule, mirror, mirrored=True) for mirror in mirrors]
    primary = _candidate(reference, settings, rule, rule.endpoint, mirrored=False)
    return (*chosen, own if primary.reference == reference else primary)


def _serves(mirror: RegistryEndpoint, rule: RegistryRule, *, by_digest: bool) -> bool:
    match mirror.pull_from_mirror:
        case PullFromMirror.DIGEST_ONLY:
            return by_digest
        case PullFromMirror.TAG_ONLY:
            return not by_digest
        case PullFromMirror.ALL:
            return by_digest or not rule.mirror_by_digest_only


def _candidate(
    reference: Reference, settings: Settings, rule: RegistryRule, endpoint: RegistryEndpoint, *, mirrored: bool
) -> Candidate:
    own_reference = _rewritten(reference, rule, endpoint)
    if own_reference.host != reference.host:
        settings = replace(
            settings, username="", password="", cert_file="", key_file="", plain_http=False, insecure=False
        )  # fmt: skip
    if endpoint.plain_http:
        settings = replace(settings, plain_http=True)
    if mirrored:
        settings = replace(
            settings,
            retries=min(settings.retries, _MIRROR_RETRIES),
            timeout=min(settings.timeout, _MIRROR_TIMEOUT),
        )
    return Candidate(reference=own_reference, settings=settings, insecure=endpoint.insecure, rule=rule)


def _rewritten(reference: Reference, rule: RegistryRule, endpoint: RegistryEndpoint) -> Reference:
    """*reference* with the rule's prefix replaced by the endpoint's location."""
    if not endpoint.location:
        return reference
    text = str(reference)
    covered = match_length(text, rule.prefix) or 0
    try:
        rewritten = Reference.parse(endpoint.location + text[covered:])
    except UsageError as error:
        raise LocalError(f"{rule.origin}: {error}") from error
    if rewritten.host != (host := endpoint.location.partition("/")[0]) and host != f"index.{HUB}":
        raise LocalError(f"{rule.origin}: the location {endpoint.location!r} does not begin with a registry's host")
    return rewritten

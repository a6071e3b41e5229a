"""The rule for a reference, and the endpoints that an image is asked of, in their order."""

from __future__ import annotations

from dataclasses import dataclass, replace

from eci_convert.errors import AccessDeniedError, LocalError, UsageError
from eci_convert.oci.reference import HUB, Reference
from eci_convert.transports.registry.endpoints import daemon_json, registries_conf
from eci_convert.transports.registry.endpoints.rules import PullFromMirror, RegistryEndpoint, RegistryRule, match_length
from eci_convert.transports.settings import Settings

_MIRROR_RETRIES = 1
_MIRROR_TIMEOUT = 15.0
"""Seconds, as dockerd has it: there is another place to ask."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A registry that may have an image, under a *reference* of its own, and how it is spoken to.

    *rule* says so; None: the image's own reference.
    """

    reference: Reference
    settings: Settings
    insecure: bool = False
    rule: RegistryRule | None = None


def is_insecure(reference: Reference, settings: Settings) -> bool:
    """Whether the user's files let the registry of *reference* be reached without verified TLS.

    Raises AccessDeniedError, which names file and line, where they block it, and LocalError for files without sense.
    """
    rule = registries_conf.load_rules(settings.environ).rule_for(str(reference))
    if rule is None:
        return False
    if rule.blocked:
        error = AccessDeniedError(f"{reference} is blocked by {rule.blocked_at}")
        error.add_note(f"hint: the rule is for {rule.prefix!r}; whoever wrote that file can change it")
        raise error
    return rule.endpoint.insecure


def candidate_endpoints(reference: Reference, settings: Settings) -> tuple[Candidate, ...]:
    """Whom to ask for the image *reference*: its mirrors, and at last the registry itself, or what stands in its place.

    None of them is told a login, a client certificate or a lower standard of security that was given for another host.
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
    there = _rewritten(reference, rule, endpoint)
    if there.host != reference.host:
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
    return Candidate(reference=there, settings=settings, insecure=endpoint.insecure, rule=rule)


def _rewritten(reference: Reference, rule: RegistryRule, endpoint: RegistryEndpoint) -> Reference:
    """*reference* with the rule's prefix exchanged for the endpoint's location."""
    if not endpoint.location:
        return reference
    text = str(reference)
    covered = match_length(text, rule.prefix) or 0
    try:
        found = Reference.parse(endpoint.location + text[covered:])
    except UsageError as error:
        raise LocalError(f"{rule.origin}: {error}") from error
    if found.host != (host := endpoint.location.partition("/")[0]) and host != f"index.{HUB}":
        raise LocalError(f"{rule.origin}: the location {endpoint.location!r} does not begin with a registry's host")
    return found

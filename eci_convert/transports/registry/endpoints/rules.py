"""Rules for registries, and which references they apply to (containers-registries.conf(5))."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class PullFromMirror(StrEnum):
    """The references for which a mirror is used."""

    ALL = "all"
    DIGEST_ONLY = "digest-only"
    TAG_ONLY = "tag-only"


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistryEndpoint:
    """A registry or mirror. *location*, `HOST[/NAMESPACE]`, replaces the prefix of a rule; "" keeps names unchanged.

    *insecure*: certificates are not verified, and plain HTTP is used if the server does not speak TLS. *plain_http*:
    plain HTTP is used without trying TLS.
    """

    location: str
    insecure: bool = False
    plain_http: bool = False
    pull_from_mirror: PullFromMirror = PullFromMirror.ALL


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistryRule:
    """A `[[registry]]` table. *origin* is its file and line, *blocked_at* that of its `blocked`."""

    prefix: str
    endpoint: RegistryEndpoint
    mirrors: tuple[RegistryEndpoint, ...] = ()
    blocked: bool = False
    mirror_by_digest_only: bool = False
    origin: str = ""
    blocked_at: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistryRules:
    """All rules, with distinct prefixes, and aliases: short names mapped to `HOST/REPOSITORY`."""

    rules: tuple[RegistryRule, ...] = ()
    aliases: Mapping[str, str] = field(default_factory=dict, hash=False)

    def rule_for(self, reference: str) -> RegistryRule | None:
        """The rule with the longest prefix of *reference*, which is fully qualified."""
        matching = [rule for rule in self.rules if match_length(reference, rule.prefix) is not None]
        return max(matching, key=lambda rule: len(rule.prefix), default=None)


def match_length(reference: str, prefix: str) -> int | None:
    """The length of the part of *reference* that the *prefix* of a rule covers; None if it does not match.

    >>> match_length("example.com/foo/image:1", "example.com/foo"), match_length("example.com/food", "example.com/foo")
    (15, None)
    >>> match_length("a.b.example.com/foo", "*.example.com"), match_length("example.com/foo", "*.example.com")
    (15, None)
    """
    if prefix.startswith("*."):
        host = reference.partition("/")[0]
        at = host.find(prefix[1:])
        end = at + len(prefix) - 1
        return end if at >= 0 and _ends_component(reference, end) else None
    return len(prefix) if reference.startswith(prefix) and _ends_component(reference, len(prefix)) else None


def _ends_component(reference: str, end: int) -> bool:
    return end == len(reference) or reference[end] in ":/@"

"""What a registry refuses in manifests, remembered from one run to the next, and said."""

from __future__ import annotations

from eci_convert.transports.base import Settings
from eci_convert.transports.refusals import ManifestRefused
from eci_convert.transports.registry.hosts import Host

_FACT = "artifact_type"
_REFUSED = "refused"


class Strictness:
    """Whether the registry *host* takes a manifest with an `artifactType` (image-spec v1.1), as GitLab and old Quays do
    not."""

    def __init__(self, host: str, settings: Settings) -> None:
        self._name = host
        self._host = Host(host, settings)
        self._reporter = settings.reporter

    @property
    def known(self) -> bool:
        """Whether it has refused one before."""
        return self._host.fact(_FACT) == _REFUSED

    def learn(self, refusal: ManifestRefused) -> None:
        """It has refused one now."""
        self._host.note(**{_FACT: _REFUSED})
        rule = " ".join(filter(None, (str(refusal.status), refusal.code, refusal.reason)))
        self._reporter.warned(f"{self._name} refuses a manifest with an artifactType ({rule}): sending it without")

"""The settings of each registry that a bundle is copied from or to."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from eci_convert.oci.reference import Reference
from eci_convert.transports import open_sink, open_source
from eci_convert.transports.base import Sink, Source
from eci_convert.transports.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Registries:
    """Every registry, and the local engine. What *settings* say of one (user, certificates, plain HTTP) is meant for
    the registry *own* alone; "": for each.

    *insecure* are registries whose certificates are not checked; those that do not speak TLS get plain HTTP.
    """

    settings: Settings
    own: str = ""
    insecure: tuple[str, ...] = ()
    _known: dict[str, Settings] = field(default_factory=dict, init=False, repr=False, compare=False)

    def source(self, reference: Reference) -> Source:
        """The image that *reference* names."""
        return open_source(f"docker://{reference}", self._for(reference.host))

    def sink(self, reference: Reference) -> Sink:
        """The place for an image that *reference* names, or where that has no tag, its digest does."""
        from eci_convert.transports.registry.sink import RegistrySink

        if reference.tag:
            return open_sink(f"docker://{reference}", self._for(reference.host))
        return RegistrySink(reference, self._for(reference.host))

    def engine(self, name: str) -> Source:
        """The image that the local engine has under *name*, which may be an id. Raises UsageError."""
        return open_source(f"docker-daemon:{name}", self.settings)

    def _for(self, host: str) -> Settings:
        if host not in self._known:
            self._known[host] = self._settings_for(host)
        return self._known[host]

    def _settings_for(self, host: str) -> Settings:
        settings = self.settings
        if self.own and host != self.own:
            settings = replace(
                settings, username="", password="", plain_http=False, insecure=False, cert_file="", key_file=""
            )
        if host in self.insecure:
            settings = replace(
                settings, insecure=True, plain_http=settings.plain_http or not _speaks_tls(host, settings)
            )
        return settings


def _speaks_tls(host: str, settings: Settings) -> bool:
    from eci_convert.transports.registry.http.dial import answers_tls
    from eci_convert.transports.registry.http.url import Url

    return answers_tls(Url.of_host("https", host), settings)

"""`docker://`, images in registries (distribution-spec v1.1.1), over an HTTP/1.1 client of our own.

source.py       RegistrySource
mirrored_source.py  MirroredSource: an image read from mirrors first
sink.py         RegistrySink
catalog.py      RegistryCatalog: the tags of a repository; RepositoriesCatalog: the repositories of a registry
client.py       RegistryClient: requests with credentials, redirects and retries
manifests.py    manifests, by tag or digest
tags.py         tags that resemble a missing one
referrers.py    the referrers API and its tag scheme
file_request.py the request with which another HTTP client gets a blob
mount_hints.py  repositories to mount a blob from
upload_plan.py  what the next request of an upload looks like
endpoints/      which servers images are read from (registries.conf, daemon.json)
http/           connections, TLS, proxies, responses, retries
auth/           challenges and tokens
state/          facts about registries, in memory and on disk
pull/           blobs received
push/           blobs sent

The client uses http.client's parser and not requests or urllib3: importing those takes longer than a whole `inspect`,
and their defaults (netrc, cookies, redirects with a body, Content-Encoding, timeouts that every byte renews) would have
to be disabled. `eci_convert.Registry` has the interface of oras-py.
"""

from __future__ import annotations

from eci_convert.oci.reference import Reference
from eci_convert.transports.base import Catalog, Sink, Source
from eci_convert.transports.settings import Settings


def open_source(rest: str, settings: Settings) -> Source:
    """The source for the reference *rest*; sends nothing yet. Raises UsageError."""
    reference = Reference.parse(rest)
    if settings.mirrors:
        from eci_convert.transports.registry.mirrored_source import open_mirrored

        return open_mirrored(reference, settings)
    from eci_convert.transports.registry.source import RegistrySource

    return RegistrySource(reference, settings)


def resolve_alias(name: str, settings: Settings) -> str:
    """*name* with an alias of the user's registries.conf replaced by its target; *name* itself if it is not an alias.
    Raises LocalError."""
    from eci_convert.transports.registry.endpoints.short_names import resolve

    return resolve(name, settings)


def open_sink(rest: str, settings: Settings) -> Sink:
    """The sink for the reference *rest*; sends nothing yet. Raises UsageError."""
    from eci_convert.transports.registry.sink import RegistrySink

    return RegistrySink(Reference.parse(rest), settings)


def open_referrer_sink(rest: str, settings: Settings) -> Sink:
    """The sink for referrers of the image *rest*, which are stored in its repository by digest. Raises UsageError."""
    from eci_convert.transports.registry.sink import RegistrySink

    subject = Reference.parse(rest)
    return RegistrySink(Reference(host=subject.host, repository=subject.repository), settings)


def open_catalog(rest: str, settings: Settings) -> Catalog:
    """The repository of *rest*, or the registry if *rest* is only a host. Raises UsageError."""
    from eci_convert.transports.registry import catalog

    return catalog.open_catalog(rest, settings)

"""`docker://`, images in registries (distribution-spec v1.1.1), over an HTTP/1.1 client of our own.

source.py       RegistrySource
mirrored_source.py  an image asked of mirrors first
sink.py         RegistrySink
catalog.py      RegistryCatalog: the tags of a repository; RepositoriesCatalog: the repositories of a registry
client.py       RegistryClient: requests with credentials, redirects and retries
manifests.py    manifests, by tag or digest
tags.py         tags near one that is not there
referrers.py    the referrers API and its tag scheme
file_request.py what another HTTP client sends for a blob
mount_hints.py  repositories to mount a blob from
upload_plan.py  what the next request of an upload looks like
endpoints/      which servers are asked, by registries.conf and daemon.json
http/           connections, TLS, proxies, responses, retries
auth/           challenges and tokens
state/          facts about registries, in memory and on disk
pull/           blobs received
push/           blobs sent

The client stands on http.client's parser and not on requests or urllib3: importing those takes longer than a whole
`inspect`, and what they do unasked (netrc, cookies, redirects with a body, Content-Encoding, timeouts that every byte
renews) would have to be disabled. `eci_convert.Registry` offers the same to users of oras-py.
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
    """The reference that the bare *name* stands for by the user's registries.conf; *name* where it is no short name of
    it. Raises LocalError."""
    from eci_convert.transports.registry.endpoints.short_names import resolve

    return resolve(name, settings)


def open_sink(rest: str, settings: Settings) -> Sink:
    """The sink for the reference *rest*; sends nothing yet. Raises UsageError."""
    from eci_convert.transports.registry.sink import RegistrySink

    return RegistrySink(Reference.parse(rest), settings)


def open_referrer_sink(rest: str, settings: Settings) -> Sink:
    """The place for what refers to the image *rest*: its repository, where it goes by its digest. Raises UsageError."""
    from eci_convert.transports.registry.sink import RegistrySink

    subject = Reference.parse(rest)
    return RegistrySink(Reference(host=subject.host, repository=subject.repository), settings)


def open_catalog(rest: str, settings: Settings) -> Catalog:
    """The repository of *rest*, or where that is a host alone, its registry. Raises UsageError."""
    from eci_convert.transports.registry import catalog

    return catalog.open_catalog(rest, settings)

"""`docker://`, images in registries (distribution-spec v1.1.1), over an HTTP/1.1 client of our own.

source.py       RegistrySource
sink.py         RegistrySink
client.py       RegistryClient: requests with credentials, redirects and retries
manifests.py    manifests, by tag or digest
referrers.py    the referrers API and its tag scheme
mount_hints.py  repositories to mount a blob from
upload_plan.py  what the next request of an upload looks like
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
from eci_convert.transports.base import Sink, Source
from eci_convert.transports.settings import Settings


def open_source(rest: str, settings: Settings) -> Source:
    """The source for the reference *rest*; sends nothing yet. Raises UsageError."""
    from eci_convert.transports.registry.source import RegistrySource

    return RegistrySource(Reference.parse(rest), settings)


def open_sink(rest: str, settings: Settings) -> Sink:
    """The sink for the reference *rest*; sends nothing yet. Raises UsageError."""
    from eci_convert.transports.registry.sink import RegistrySink

    return RegistrySink(Reference.parse(rest), settings)

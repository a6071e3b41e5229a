"""docker://: images in registries (distribution-spec v1.1.1), over HTTP of our own.

    source      an image, read           download  target  ranges  referrers  links
    sink        an image, written        manifests  mounts  nearby  whereabouts
    upload      a blob on its way        upload_plan  outgoing  chunks  sessions  ledger  hosts  state
    client      one talk: credentials where they belong, redirects, repeated attempts
                login  tokens  challenge  patience  faults  warnings
    pool        connections kept         dial  wire  answer  url  proxies  certs  neighbours  addresses
                socks  nested_tls

Written on http.client's parser and not on requests or urllib3: their 60 to 80 ms of import are twice what a whole
`inspect` takes, and what they do unasked (netrc, cookies, redirects with a body, Content-Encoding, timeouts that every
byte renews) had to be undone. `eci_convert.transports.oras_registry` offers the same to users of oras-py.
"""

from __future__ import annotations

from eci_convert.oci.reference import Reference
from eci_convert.transports.base import Settings, Sink, Source


def open_source(rest: str, settings: Settings) -> Source:
    """The image that the reference *rest* stands for; nothing is asked yet. Raises UsageError."""
    from eci_convert.transports.registry.source import RegistrySource

    return RegistrySource(Reference.parse(rest), settings)


def open_sink(rest: str, settings: Settings) -> Sink:
    """The place for an image that the reference *rest* names; nothing is asked yet. Raises UsageError."""
    from eci_convert.transports.registry.sink import RegistrySink

    return RegistrySink(Reference.parse(rest), settings)

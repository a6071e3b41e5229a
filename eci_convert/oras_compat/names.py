"""Names of images, as oras-py's methods take and return them."""

from __future__ import annotations

import oras.container
import oras.defaults

from eci_convert.oci.reference import HUB, HUB_API, Reference


class OrasName(oras.container.Container):  # type: ignore[misc] # oras has no types
    """A name in a registry, parsed as Docker does. *registry* is the host that is contacted."""

    reference: Reference

    def parse(self, name: str) -> None:
        """Raises UsageError."""
        reference = self.reference = Reference.parse(name)
        self.registry = HUB_API if reference.host == HUB else reference.host
        self.namespace, _, self.repository = reference.repository.rpartition("/")
        self.tag = reference.tag or oras.defaults.default_tag
        self.digest = str(reference.digest) if reference.digest else None

"""Short names, resolved by the aliases of registries.conf, as by podman."""

from __future__ import annotations

import logging

from eci_convert.errors import LocalError, UsageError
from eci_convert.oci.reference import Reference
from eci_convert.transports.registry.endpoints.registries_conf import load_aliases
from eci_convert.transports.settings import Settings

_log = logging.getLogger(__name__)


def resolve(text: str, settings: Settings) -> str:
    """*text* with an alias replaced by its target, tag and digest kept; *text* itself if it is not an alias.

    A name that begins with a registry is not a short name. Raises LocalError for an alias with an invalid target.
    """
    end = min((index for mark in ":@" if (index := text.find(mark)) >= 0), default=len(text))
    name, suffix = text[:end], text[end:]
    first, slash, _ = name.partition("/")
    if "/" in suffix.partition("@")[0] or (slash and ("." in first or first == "localhost")):
        return text
    target = load_aliases(settings.environ).get(name, "")
    if not target:
        return text
    try:
        reference = Reference.parse(target)
    except UsageError as error:
        raise LocalError(f"the short name {name!r} of registries.conf: {error}") from error
    if str(reference.name) + suffix != text:
        _log.info("%s is short for %s", name, reference.name)
    return reference.name + suffix

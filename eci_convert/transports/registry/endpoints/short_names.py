"""What a short name stands for: the aliases of registries.conf, as podman resolves them."""

from __future__ import annotations

import logging

from eci_convert.errors import LocalError, UsageError
from eci_convert.oci.reference import Reference
from eci_convert.transports.registry.endpoints.registries_conf import load_aliases
from eci_convert.transports.settings import Settings

_log = logging.getLogger(__name__)


def resolve(text: str, settings: Settings) -> str:
    """*text* with the name in it exchanged for what it is an alias of, tag and digest kept; *text* if it is none.

    A name that begins with a registry is no short name. Raises LocalError for an alias of what is no image.
    """
    end = min((place for mark in ":@" if (place := text.find(mark)) >= 0), default=len(text))
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

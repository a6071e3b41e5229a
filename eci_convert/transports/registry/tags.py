"""The tags of a repository that resemble a missing one (distribution-spec v1.1.1, "Listing Tags")."""

from __future__ import annotations

import json
import re
from typing import Final

from eci_convert.errors import EciError
from eci_convert.transports.registry.client import RegistryClient
from eci_convert.transports.registry.http.retry import RetryBudget
from eci_convert.transports.schemes import nearest_names

_MOST = 1000
_MAX_LIST = 1 << 20
_OF_REFERRERS: Final = re.compile(r"sha(?:256|512)-[0-9a-f]{64}.*", re.ASCII)
"""Tags under which an image's referrers and cosign's signatures are found: nobody mistypes one."""


def nearest_tags(client: RegistryClient, tag: str) -> tuple[str, ...]:
    """Tags of the repository of *client* that resemble *tag*, or else some of its tags.

    Sends one request, without retries, and reads one page; empty if that fails.
    """
    names = [name for name in first_tags(client) if not _OF_REFERRERS.fullmatch(name)]
    return nearest_names(tag, names) or tuple(names[-3:])


def first_tags(client: RegistryClient) -> tuple[str, ...]:
    """Tags of the repository of *client*: one page of them, of one request without retries; empty if that fails."""
    url = client.url("tags/list").with_query("n", str(_MOST))
    try:
        with client.request("GET", url, accept=(200,), budget=RetryBudget(0)) as response:
            document = json.loads(response.read(_MAX_LIST))
    except (EciError, ValueError, RecursionError):  # it was only for a hint
        return ()
    tags = document.get("tags") if isinstance(document, dict) else None
    return tuple(tag for tag in (tags if isinstance(tags, list) else ())[:_MOST] if isinstance(tag, str))

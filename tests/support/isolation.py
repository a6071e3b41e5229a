"""What of the environment is the user's own, and is nothing to the tests (conftest.py)."""

from __future__ import annotations

import re

USERS_OWN = re.compile(
    r"(XDG|DOCKER|BUILDX|BUILDKIT|CONTAINERD|CONTAINER|ECI_CONVERT)_.*|_ECI_CONVERT_COMPLETE|REGISTRY_AUTH_FILE"
    r"|SOURCE_DATE_EPOCH|(http|https|all|no|ftp)_proxy|NO_COLOR|FORCE_COLOR|NETRC",
    re.IGNORECASE,
)
"""Variables that change what eci-convert does. Whoever wants one sets it in the test."""

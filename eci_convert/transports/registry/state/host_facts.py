"""HostFacts: what a registry host accepts and refuses, built in or observed, and remembered between runs."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from eci_convert.errors import ManifestRefusedError
from eci_convert.progress import Reporter, warn
from eci_convert.transports.registry import upload_plan
from eci_convert.transports.registry.state import files
from eci_convert.transports.registry.state.chunk_size import ChunkSizeControl
from eci_convert.transports.registry.upload_plan import Limits
from eci_convert.transports.settings import Settings

_LARGEST = {"ghcr.io": 4_000_000}
"""The largest request body in bytes that a host is known to accept (github.com/orgs/community/discussions/26299)."""

_ONE_PIECE = ("gcr.io", ".gcr.io", ".pkg.dev")
"""Google's registries accept a single PATCH request for a blob."""

_MAX_AGE_SECONDS = 30 * 24 * 3600.0


class HostFacts:
    """The facts about one registry host. They hold for this process, and for later ones if there is a state
    directory."""

    def __init__(self, name: str, settings: Settings) -> None:
        self._directory = files.directory(settings, "hosts")
        self._file = f"{hashlib.sha256(name.encode()).hexdigest()[:32]}.json"
        self.name = name
        self._lock = threading.Lock()
        self.chunk_size = ChunkSizeControl(upload_plan.SMALLEST, upload_plan.SHARED)
        self._largest = _LARGEST.get(name)
        self._uploads = 0
        self.long_requests = True
        self._facts = self._load()

    def limits(self, minimum: int = 0) -> Limits:
        """The limits for an upload whose session asks for chunks of at least *minimum* bytes."""
        learnt_limit = self._facts.get("largest")
        limits = [self._largest] if self._largest else []
        if isinstance(learnt_limit, int) and learnt_limit >= upload_plan.SMALLEST:
            limits.append(learnt_limit)
        return Limits(
            uploads=self._uploads,
            minimum=minimum,
            largest=min(limits, default=None),
            lossy=self.chunk_size.limit,
            long_requests=self.long_requests,
        )

    def too_large(self, length: int, minimum: int = 0) -> bool:
        """Records that a request body of *length* bytes was refused as too large; False if no smaller one is
        allowed."""
        smaller = upload_plan.shorter(length, self.limits(minimum))
        if smaller is None:
            return False
        with self._lock:
            learnt_limit = self._facts.get("largest")
            if not isinstance(learnt_limit, int) or smaller < learnt_limit:
                self.remember(largest=smaller)
        return True

    @contextmanager
    def uploading(self) -> Iterator[None]:
        """Counts an upload while it is in progress."""
        with self._lock:
            self._uploads += 1
        try:
            yield
        finally:
            with self._lock:
                self._uploads -= 1

    @property
    def monolithic_only(self) -> bool:
        """Whether a blob must be sent in a single request."""
        is_google = any(self.name == host or (host[0] == "." and self.name.endswith(host)) for host in _ONE_PIECE)
        return is_google or self._facts.get("one_piece") is True

    def get(self, name: str) -> object:
        """The fact *name*, or None."""
        return self._facts.get(name)

    def remember(self, **facts: object) -> None:
        """Adds *facts* and saves them."""
        self._facts |= facts
        if self._directory is not None:
            files.save(self._directory, self._file, {**self._facts, "host": self.name})

    def _load(self) -> dict[str, object]:
        """The saved facts; expired after 30 days, because hosts change."""
        if self._directory is None or self._directory.age(self._file) > _MAX_AGE_SECONDS:
            return {}
        return dict(files.load(self._directory, self._file))


_FACT = "artifact_type"
_REFUSED = "refused"


class ArtifactTypeRefusals:
    """Whether the registry *host* refuses manifests with an `artifactType` (image-spec v1.1), as GitLab and old Quay
    versions do."""

    def __init__(self, host: HostFacts, reporter: Reporter) -> None:
        self._host = host
        self._reporter = reporter

    @property
    def known(self) -> bool:
        """Whether the registry has refused one before."""
        return self._host.get(_FACT) == _REFUSED

    def record(self, refusal: ManifestRefusedError) -> None:
        """Records that the registry refused one, and warns."""
        self._host.remember(**{_FACT: _REFUSED})
        rule = " ".join(filter(None, (str(refusal.status), refusal.code, refusal.reason)))
        warn(self._reporter, f"{self._host.name} refuses manifests with an artifactType ({rule}): retrying without")

"""What a host is known to allow, and what we found out about it, remembered from one run to the next."""

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
"""Bytes that a request may have where a host is known to take less (github.com/orgs/community/discussions/26299)."""

_ONE_PIECE = ("gcr.io", ".gcr.io", ".pkg.dev")
"""Google's registries take a blob in one PATCH."""

_REMEMBERED = 30 * 24 * 3600.0


class HostFacts:
    """One registry host. What is noted holds for this process at once, and for later ones where there is a place."""

    def __init__(self, name: str, settings: Settings) -> None:
        self._directory = files.directory(settings, "hosts")
        self._file = f"{hashlib.sha256(name.encode()).hexdigest()[:32]}.json"
        self.name = name
        self._lock = threading.Lock()
        self.strides = ChunkSizeControl(upload_plan.SMALLEST, upload_plan.SHARED)
        self._largest = _LARGEST.get(name)
        self._uploads = 0
        self.long_requests = True
        self._facts = self._remembered()

    def limits(self, minimum: int = 0) -> Limits:
        """What an upload may do that takes no chunk below *minimum*."""
        learnt = self._facts.get("largest")
        known = [self._largest] if self._largest else []
        if isinstance(learnt, int) and learnt >= upload_plan.SMALLEST:
            known.append(learnt)
        return Limits(
            uploads=self._uploads,
            minimum=minimum,
            largest=min(known, default=None),
            lossy=self.strides.limit,
            long_requests=self.long_requests,
        )

    def too_large(self, length: int, minimum: int = 0) -> bool:
        """Notes that a request of *length* bytes is too large; False where none is shorter."""
        shorter = upload_plan.shorter(length, self.limits(minimum))
        if shorter is None:
            return False
        with self._lock:
            learnt = self._facts.get("largest")
            if not isinstance(learnt, int) or shorter < learnt:
                self.remember(largest=shorter)
        return True

    @contextmanager
    def uploading(self) -> Iterator[None]:
        """While a blob is being sent."""
        with self._lock:
            self._uploads += 1
        try:
            yield
        finally:
            with self._lock:
                self._uploads -= 1

    @property
    def monolithic_only(self) -> bool:
        """Whether a blob is taken in one piece only."""
        known = any(self.name == host or (host[0] == "." and self.name.endswith(host)) for host in _ONE_PIECE)
        return known or self._facts.get("one_piece") is True

    def get(self, name: str) -> object:
        """What was noted under *name*, or None."""
        return self._facts.get(name)

    def remember(self, **facts: object) -> None:
        """From now on *facts* are known of the host."""
        self._facts |= facts
        if self._directory is not None:
            files.save(self._directory, self._file, {**self._facts, "host": self.name})

    def _remembered(self) -> dict[str, object]:
        """Hosts change: what was found out a month ago is found out again."""
        if self._directory is None or self._directory.age(self._file) > _REMEMBERED:
            return {}
        return dict(files.load(self._directory, self._file))


_FACT = "artifact_type"
_REFUSED = "refused"


class ArtifactTypeRefusals:
    """Whether the registry *host* takes a manifest with an `artifactType` (image-spec v1.1), as GitLab and old Quays do
    not."""

    def __init__(self, host: HostFacts, reporter: Reporter) -> None:
        self._host = host
        self._reporter = reporter

    @property
    def known(self) -> bool:
        """Whether it has refused one before."""
        return self._host.get(_FACT) == _REFUSED

    def learn(self, refusal: ManifestRefusedError) -> None:
        """It has refused one now."""
        self._host.remember(**{_FACT: _REFUSED})
        rule = " ".join(filter(None, (str(refusal.status), refusal.code, refusal.reason)))
        warn(self._reporter, f"{self._host.name} refuses a manifest with an artifactType ({rule}): sending it without")

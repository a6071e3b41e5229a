"""Annotation keys that several formats and transports use."""

from __future__ import annotations

TITLE = "org.opencontainers.image.title"


REF_NAME = "org.opencontainers.image.ref.name"
IMAGE_NAME = "io.containerd.image.name"
CREATED = "org.opencontainers.image.created"

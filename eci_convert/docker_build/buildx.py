"""Builds with BuildKit, through python-on-whales and Docker's plugin buildx.

buildx wants a folder: the parts are linked into one beside the largest of them, where links can be.
"""

from __future__ import annotations

import os
import secrets
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final, cast

from eci_convert.docker_build.dockerfile import stage_context
from eci_convert.docker_build.request import BuildRequest
from eci_convert.docker_build.result import built_image_id, wrong_platform_error
from eci_convert.errors import AccessDeniedError, EciError, TransportError, UsageError
from eci_convert.files import leftovers
from eci_convert.files.errors import local_errors
from eci_convert.model import Artifact, LocalFile
from eci_convert.progress import waiting, warn
from eci_convert.transports.settings import Settings

_DOCKERFILE: Final = "Dockerfile"


def build(
    request: BuildRequest,
    settings: Settings,
    log: Callable[[str], object],
    *,
    archive: Path | None = None,
    builder: str = "",
) -> str:
    """Builds the image into the engine and returns its id; or writes it to the OCI *archive* and returns "".

    *builder* is buildx's name of a builder, "" for the current one. *log* is told what the builder says, line by
    line. Raises UsageError where Docker's client or buildx is missing, TransportError, AccessDeniedError, LocalError.
    """
    from python_on_whales import DockerClient
    from python_on_whales.client_config import ClientNotFoundError
    from python_on_whales.exceptions import DockerException

    environ = settings.environ
    client = DockerClient(
        host=environ.get("DOCKER_HOST"),
        context=None if environ.get("DOCKER_HOST") else environ.get("DOCKER_CONTEXT"),
        config=environ.get("DOCKER_CONFIG"),
    )
    with _folder(request, settings) as (folder, file):
        try:
            lines = client.buildx.build(
                folder,
                file=file,
                tags=[request.reference] if request.name else [],
                labels=dict(request.labels),
                platforms=[str(platform) for platform in request.platforms] or None,
                output=_output(request, archive),
                build_args={"SOURCE_DATE_EPOCH": str(request.created)},
                builder=builder or None,
                provenance=False,
                progress="plain",
                stream_logs=True,
            )
            with waiting(settings.reporter, "BuildKit to build the image"):
                for line in cast("Iterator[str]", lines):
                    log(line.rstrip())
        except ClientNotFoundError as error:
            raise _missing("docker", "Docker's command line") from error
        except DockerException as error:
            raise _failed(error.stderr or "") from error
    return "" if archive else _identity(request, settings)


@contextmanager
def _folder(request: BuildRequest, settings: Settings) -> Iterator[tuple[Path, Path]]:
    """The context, and the Dockerfile."""
    if request.artifact is None:
        request.dockerfile({})  # opened only to report early that it is unreadable
        yield request.folder, request.file or Path()
        return
    folder = Path(_beside(request.artifact, settings), f".eci-convert-{secrets.token_hex(8)}")
    with local_errors("a folder for the build"), leftovers.creating(folder, tree=True):
        folder.mkdir(mode=0o700)
    try:
        text = request.dockerfile(stage_context(request.artifact, folder / "context"))
        with local_errors(folder):
            (folder / _DOCKERFILE).write_text(text)
        yield folder / "context", folder / _DOCKERFILE
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        leftovers.forget(folder)


def _beside(artifact: Artifact, settings: Settings) -> Path:
    """A folder where the largest part can be linked: the one for temporary files, else its own, else the former."""
    usual = Path(settings.environ.get("TMPDIR") or tempfile.gettempdir())
    files = [part.locator.path for part in artifact.parts if isinstance(part.locator, LocalFile)]
    with suppress(OSError):
        largest = max(map(Path, files), key=lambda path: path.stat().st_size, default=usual)
        largest = Path(os.path.realpath(largest))
        if largest.stat().st_dev != usual.stat().st_dev and os.access(largest.parent, os.W_OK):
            return largest.parent
    return usual


def _output(request: BuildRequest, archive: Path | None) -> dict[str, str]:
    """The value of --output, fields separated by commas as in CSV (RFC 4180): whatever holds one is quoted.

    Times of files cannot be rewritten in what an engine unpacks at once.
    """
    fields = {"type": "docker", "oci-mediatypes": "true"}
    if archive:
        fields = {"type": "oci", "dest": str(archive), "rewrite-timestamp": "true"}
    fields |= {f"annotation.{key}": value for key, value in request.annotations.items()}
    return dict(_csv(key, value) for key, value in fields.items())


def _csv(key: str, value: str) -> tuple[str, str]:
    if not set(key + value) & set(',"\r\n'):
        return key, value
    return '"' + key.replace('"', '""'), value.replace('"', '""') + '"'


def _identity(request: BuildRequest, settings: Settings) -> str:
    from eci_convert.transports.docker_daemon.engine import Engine

    engine = Engine(settings)
    try:
        if request.annotations and not engine.keeps_images_in_containerd:
            warn(settings.reporter, "this Docker engine keeps no manifests, so the annotations are lost")
        expected = request.platforms[0] if len(request.platforms) == 1 else None
        built = built_image_id(request, engine, expected)
        if not built:
            raise wrong_platform_error(request, engine, expected)
        return built
    finally:
        engine.close()


def _failed(output: str) -> EciError:
    from eci_convert.transports.docker_daemon.errors import NO_ENGINE_HINTS, engine_message

    lines = [line for line in output.splitlines() if line.strip()]
    reason = next((line for line in reversed(lines) if line.startswith("ERROR")), lines[-1] if lines else "")
    text = engine_message(reason.removeprefix("ERROR:")) or "it does not say why"
    low = output.lower()
    if "is not a docker command" in low or "unknown command: docker buildx" in low:
        return _missing("buildx", "the plugin buildx of Docker's command line")
    if "permission denied while trying to connect" in low or "pull access denied" in low:
        return AccessDeniedError(f"buildx: {text}")
    error = TransportError(f"buildx: {text}")
    if "not supported for the docker driver" in low or "docker exporter does not" in low:
        error.add_note("hint: an engine with containerd's image store, or `docker buildx create --use`, can do that")
    if "cannot connect to the docker daemon" in low:
        for hint in NO_ENGINE_HINTS:
            error.add_note(f"hint: {hint}")
    return error


def _missing(name: str, what: str) -> UsageError:
    error = UsageError(f"{name!r} is not there: building with BuildKit needs {what}")
    error.add_note("hint: --builder direct needs nothing but the engine")
    return error

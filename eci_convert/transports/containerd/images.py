"""containerd's image records: names, and the manifest or index that each stands for."""

from __future__ import annotations

from eci_convert.errors import NotFoundError, UnsupportedImageError, UsageError, quoted_list
from eci_convert.oci.descriptor import Descriptor
from eci_convert.oci.digest import Digest
from eci_convert.oci.index import Index
from eci_convert.transports.containerd.connection import ContainerdConnection
from eci_convert.transports.containerd.content import read_small_blob
from eci_convert.transports.containerd.names import RecordName
from eci_convert.transports.containerd.proto import containerd_pb2 as api
from eci_convert.transports.ids import digits

_IMAGES = "/containerd.services.images.v1.Images/"


def resolve_name(connection: ContainerdConnection, name: RecordName) -> Descriptor:
    """What *name* stands for. Raises NotFound, and UsageError where it may be one of several."""
    for called in name.records():
        target = _record(connection, called)
        if target and name.digest in (None, target.digest):
            return target
    everything = all_records(connection)
    found = _by_digest(connection, name, everything) if name.digest else _by_eci(name, everything)
    found = found or _by_first_digits(name, everything)
    if found:
        return found
    error = NotFoundError(f"containerd has no image {name.text!r} in its namespace {connection.namespace!r}")
    error.add_note("hint: --namespace chooses another one; Docker's is moby, that of Kubernetes k8s.io")
    raise error


def set_target(connection: ContainerdConnection, name: str, target: Descriptor) -> None:
    """Makes the image record *name* stand for *target*, whether there was one or not; labels of the record stay."""
    image = api.Image(
        name=name, target=api.Descriptor(media_type=target.media_type, digest=str(target.digest), size=target.size)
    )
    if _record(connection, name) is None:
        connection.ask(f"{_IMAGES}Create", api.CreateImageRequest(image=image), api.ImageResponse, f"image {name!r}")
        return
    update = api.UpdateImageRequest(image=image)
    update.update_mask.paths.append("target")
    connection.ask(f"{_IMAGES}Update", update, api.ImageResponse, f"image {name!r}")


def all_records(connection: ContainerdConnection) -> dict[str, Descriptor]:
    """What every image record of the namespace stands for."""
    answer = connection.ask(f"{_IMAGES}List", api.ListImagesRequest(), api.ListImagesResponse, "images")
    return {image.name: _target(image) for image in answer.images}


def delete_record(connection: ContainerdConnection, name: str, *, collect: bool) -> None:
    """Removes the image record *name*; with *collect*, containerd's collector has run when this returns.

    Raises NotFoundError.
    """
    request = api.DeleteImageRequest(name=name, sync=collect)
    connection.ask(f"{_IMAGES}Delete", request, api.Empty, f"image {name!r}")


def _record(connection: ContainerdConnection, name: str) -> Descriptor | None:
    request = api.GetImageRequest(name=name)
    try:
        answer = connection.ask(f"{_IMAGES}Get", request, api.ImageResponse, f"image {name!r}")
    except NotFoundError:
        return None
    return _target(answer.image)


def _target(image: api.Image) -> Descriptor:
    target = image.target
    digest = Digest.parse(target.digest, where=f"image {image.name!r}")
    return Descriptor(media_type=target.media_type, digest=digest, size=target.size)


def _by_eci(name: RecordName, everything: dict[str, Descriptor]) -> Descriptor | None:
    """The one image that the original `eci` pushed under *name*."""
    spelt = name.by_eci(tuple(everything))
    if len({everything[record].digest for record in spelt}) > 1:
        raise UsageError(f"{name.text!r} may be any of {', '.join(sorted(spelt))}: name one of them")
    return everything[spelt[0]] if spelt else None


def _by_first_digits(name: RecordName, everything: dict[str, Descriptor]) -> Descriptor | None:
    """The one image whose digest begins as *name* says. Raises LayoutError if there are several."""
    beginning = digits(name.text)
    targets = {target.digest: target for target in everything.values() if target.digest.hex.startswith(beginning)}
    if not beginning or not targets:
        return None
    if len(targets) > 1:
        error = UnsupportedImageError(
            f"the digests of {len(targets)} images begin with {beginning!r}: {quoted_list(map(str, targets))}"
        )
        error.add_note("hint: give more digits")
        raise error
    return next(iter(targets.values()))


def _by_digest(
    connection: ContainerdConnection, name: RecordName, everything: dict[str, Descriptor]
) -> Descriptor | None:
    """The image with the digest, in the repository, of whatever tag; or the one below an index there."""
    targets = [everything[record] for record in name.of_repository(tuple(everything))]
    for target in targets:
        if target.digest == name.digest:
            return target
    for target in targets:
        found = read_small_blob(connection, target)
        if isinstance(found, Index):
            for child in found.manifests:
                if child.digest == name.digest:
                    return child
    return None

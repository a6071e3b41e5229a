"""containerd's image records: a name, and the manifest or index it refers to."""

from __future__ import annotations

from eci_convert.errors import NotFoundError, UnsupportedImageError, UsageError, quoted_list
from eci_convert.oci.descriptor import Descriptor
from eci_convert.oci.digest import Digest
from eci_convert.oci.index import Index
from eci_convert.transports.containerd.connection import ContainerdConnection
from eci_convert.transports.containerd.content import read_manifest
from eci_convert.transports.containerd.names import RecordName
from eci_convert.transports.containerd.proto import containerd_pb2 as api
from eci_convert.transports.ids import digits
from eci_convert.transports.schemes import nearest_names, other_meaning

_IMAGES = "/containerd.services.images.v1.Images/"


def resolve_name(connection: ContainerdConnection, name: RecordName) -> Descriptor:
    """The manifest or index that *name* refers to. Raises NotFoundError, and UsageError if it is ambiguous."""
    for record_name in name.records():
        target = _record(connection, record_name)
        if target and name.digest in (None, target.digest):
            return target
    records = all_records(connection)
    target_by_digest = _by_digest(connection, name, records) if name.digest else _by_eci(name, records)
    target_by_digest = target_by_digest or _by_first_digits(name, records)
    if target_by_digest:
        return target_by_digest
    error = NotFoundError(f"containerd has no image {name.text!r} in the namespace {connection.namespace!r}")
    if meaning := other_meaning(name.text):
        error.add_note(f"hint: {meaning}")
    elif nearest := [near for spelt in name.records()[::-1] for near in nearest_names(spelt, records)]:
        error.add_note(f"hint: it has {quoted_list(dict.fromkeys(nearest), 3)}")
    error.add_note("hint: --namespace selects another one; Docker's is moby, that of Kubernetes k8s.io")
    raise error


def set_target(connection: ContainerdConnection, name: str, target: Descriptor) -> None:
    """Creates or updates the image record *name* with *target*; labels of an existing record are kept."""
    image = api.Image(
        name=name, target=api.Descriptor(media_type=target.media_type, digest=str(target.digest), size=target.size)
    )
    if _record(connection, name) is None:
        connection.call(f"{_IMAGES}Create", api.CreateImageRequest(image=image), api.ImageResponse, f"image {name!r}")
        return
    update = api.UpdateImageRequest(image=image)
    update.update_mask.paths.append("target")
    connection.call(f"{_IMAGES}Update", update, api.ImageResponse, f"image {name!r}")


def all_records(connection: ContainerdConnection) -> dict[str, Descriptor]:
    """The targets of all image records of the namespace, by name."""
    response = connection.call(f"{_IMAGES}List", api.ListImagesRequest(), api.ListImagesResponse, "images")
    return {image.name: _target(image) for image in response.images}


def delete_record(connection: ContainerdConnection, name: str, *, collect: bool) -> None:
    """Removes the image record *name*; with *collect*, containerd's garbage collection has run when this returns.

    Raises NotFoundError.
    """
    request = api.DeleteImageRequest(name=name, sync=collect)
    connection.call(f"{_IMAGES}Delete", request, api.Empty, f"image {name!r}")


def _record(connection: ContainerdConnection, name: str) -> Descriptor | None:
    request = api.GetImageRequest(name=name)
    try:
        response = connection.call(f"{_IMAGES}Get", request, api.ImageResponse, f"image {name!r}")
    except NotFoundError:
        return None
    return _target(response.image)


def _target(image: api.Image) -> Descriptor:
    target = image.target
    digest = Digest.parse(target.digest, where=f"image {image.name!r}")
    return Descriptor(media_type=target.media_type, digest=digest, size=target.size)


def _by_eci(name: RecordName, records: dict[str, Descriptor]) -> Descriptor | None:
    """The one image that the original `eci` pushed under *name*."""
    names = name.by_eci(tuple(records))
    if len({records[record_name].digest for record_name in names}) > 1:
        raise UsageError(f"{name.text!r} is ambiguous: use one of {', '.join(sorted(names))}")
    return records[names[0]] if names else None


def _by_first_digits(name: RecordName, records: dict[str, Descriptor]) -> Descriptor | None:
    """The one image whose digest begins with the digits *name*. Raises UnsupportedImageError if there are several."""
    prefix = digits(name.text)
    targets = {target.digest: target for target in records.values() if target.digest.hex.startswith(prefix)}
    if not prefix or not targets:
        return None
    if len(targets) > 1:
        error = UnsupportedImageError(
            f"{prefix!r} is ambiguous, it matches {len(targets)} images: {quoted_list(map(str, targets))}"
        )
        error.add_note("hint: give more digits")
        raise error
    return next(iter(targets.values()))


def _by_digest(connection: ContainerdConnection, name: RecordName, records: dict[str, Descriptor]) -> Descriptor | None:
    """The image with the digest in that repository, under any tag; or the one listed in an index there."""
    targets = [records[record_name] for record_name in name.of_repository(tuple(records))]
    for target in targets:
        if target.digest == name.digest:
            return target
    for target in targets:
        manifest = read_manifest(connection, target)
        if isinstance(manifest, Index):
            for child in manifest.manifests:
                if child.digest == name.digest:
                    return child
    return None

"""Renders a Dockerfile: one COPY per part, then labels that name the files as parts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from eci_convert.dialects import part_names
from eci_convert.dialects.image_config import merge_labels
from eci_convert.dialects.part_labels import labels_for, part_for_label
from eci_convert.dialects.part_names import checked_name
from eci_convert.docker_build.dockerfile import quoting
from eci_convert.docker_build.dockerfile.quoting import check_text, quoted_label
from eci_convert.errors import UsageError
from eci_convert.model import Artifact
from eci_convert.oci.reference import Reference

SCRATCH: Final = "scratch"
_NOTHING: Mapping[str, str] = {}
_STAGE: Final = "parts"


def render(
    artifact: Artifact,
    sources: Mapping[str, str],
    *,
    base: str = SCRATCH,
    single_layer: bool = False,
    labels: Mapping[str, str] = _NOTHING,
) -> str:
    """The Dockerfile for *artifact*, whose parts lie at *sources*, paths below the build's context by the parts' names.

    In the image a part is `/` and its ECI name. *base* is the image to start from. *single_layer* puts all parts into
    one layer. Raises UsageError for what a Dockerfile cannot say, and for labels that contradict the parts.
    """
    paths = {part.name: checked_name(part) for part in artifact.parts}
    part_names.check_distinct(artifact.parts)
    copies = [
        (quoting.source(_checked(sources[name])), quoting.destination("/" + path)) for name, path in paths.items()
    ]
    named_so = all(sources[name].rpartition("/")[2] == path for name, path in paths.items())
    texts = merge_labels(labels_for(artifact, paths), artifact.labels, labels)
    lines = ["# Made by eci-convert: the parts of a machine, and labels that say which is which.", ""]
    if not single_layer or len(copies) < 2:
        lines += [f"FROM {_base(base)}", *map(_copy, copies)]
    elif named_so:
        lines += [f"FROM {_base(base)}", f'COPY [{", ".join(source for source, _ in copies)}, "/"]']
    else:
        lines += _with_rename_stage(copies, _base(base))
    lines += _labels(texts)
    return "\n".join(lines) + "\n"


def _with_rename_stage(copies: list[tuple[str, str]], base: str) -> list[str]:
    """COPY cannot rename several files at once: so they are renamed in a stage before, and then copied together."""
    renaming = [f"FROM {SCRATCH} AS {_STAGE}", *map(_copy, copies), ""]
    return [*renaming, f"FROM {base}", f'COPY --from={_STAGE} ["/", "/"]']


def _copy(words_of: tuple[str, str]) -> str:
    return f"COPY [{', '.join(words_of)}]"


def _labels(texts: Mapping[str, str]) -> Iterator[str]:
    """Those of the parts in their order, disks by number, then all others."""
    yield from (f"LABEL {quoted_label(key, value)}" for key, value in sorted(texts.items(), key=_rank))


def _rank(item: tuple[str, str]) -> tuple[int, int, str]:
    role_and_index = part_for_label(item[0])
    if role_and_index is None:
        return 1 << 8, 0, item[0]
    role, index = role_and_index
    return list(type(role)).index(role), index or 0, item[0]


def _checked(path: str) -> str:
    check_text(path, "the path of a part")
    return path


def _base(name: str) -> str:
    """*name*, if it is one: a word of its own, or the whole line, could say more than FROM is to say."""
    if name == SCRATCH:
        return name
    try:
        Reference.parse(name)
    except UsageError as error:
        raise UsageError(f"{name!r} is no image to start from") from error
    return name

"""Compares two images: platforms, digests of parts, labels."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from eci_convert.errors import LimitExceededError
from eci_convert.model import Member, Part, Role, RootfsFile
from eci_convert.oci.digest import Digest
from eci_convert.oci.platform import Platform
from eci_convert.operations.inspect import MAX_IMAGES, Inspection, inspect
from eci_convert.operations.part_sizes import PartFacts, declared_facts, measured_facts, parts_of
from eci_convert.options import TransferOptions
from eci_convert.transports.base import Source

_DEFAULTS = TransferOptions()


@dataclass(frozen=True, slots=True, kw_only=True)
class PartDifference:
    """A part that is not the same in both images; None where one has none."""

    platform: Platform | None
    part: Part
    first: PartFacts | None
    second: PartFacts | None


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelDifference:
    """A label that is not the same in both images; None where one has none."""

    platform: Platform | None
    key: str
    first: str | None
    second: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """What differs between two images. *layers* are the platforms for which neither image declares parts, and the
    layers are not the same."""

    first: Inspection
    second: Inspection
    only_first: tuple[Platform, ...] = ()
    only_second: tuple[Platform, ...] = ()
    parts: tuple[PartDifference, ...] = ()
    labels: tuple[LabelDifference, ...] = ()
    layers: tuple[Platform | None, ...] = field(default=())

    @property
    def is_same(self) -> bool:
        """Whether nothing differs."""
        return not (self.only_first or self.only_second or self.parts or self.labels or self.layers)


def diff(
    first: Source,
    second: Source,
    *,
    platform: Platform | None = None,
    options: TransferOptions = _DEFAULTS,
) -> Difference:
    """How the image that *first* names differs from the one that *second* does, in whatever dialects they are.

    Of indexes, all platforms that both have are compared, or the one *platform*. Parts whose digests the manifests do
    not tell are read. Raises LimitExceededError for more than 64 platforms and for a larger part than *options* allow,
    and what `inspect` and `extract_files` raise.
    """
    one, other = inspect(first, platform), inspect(second, platform)
    if one.digest == other.digest:
        return Difference(first=one, second=other)
    only_first, only_second = _only(one, other, platform), _only(other, one, platform)
    parts: list[PartDifference] = []
    labels: list[LabelDifference] = []
    layers: list[Platform | None] = []
    for shared in _shared(one, other, platform):
        left, right = (one, other) if shared is None else (inspect(first, shared), inspect(second, shared))
        shown = shared or left.image.platform
        if not left.dialect and not right.dialect and _layers(left) != _layers(right):
            layers.append(shown)
        parts += _part_differences(shown, (first, left), (second, right), options)
        labels += _label_differences(shown, _labels(left), _labels(right))
    return Difference(
        first=one, second=other, only_first=only_first, only_second=only_second, parts=tuple(parts),
        labels=tuple(labels), layers=tuple(layers),
    )  # fmt: skip


def _only(one: Inspection, other: Inspection, platform: Platform | None) -> tuple[Platform, ...]:
    if platform:
        return ()
    return tuple(dict.fromkeys(each for each in one.platforms if each not in other.platforms))


def _shared(one: Inspection, other: Inspection, platform: Platform | None) -> Sequence[Platform | None]:
    """The platforms to compare; None is for the images that were chosen. Raises LimitExceededError."""
    if platform or (len(one.platforms) < 2 and len(other.platforms) < 2):
        return [None]
    shared = list(dict.fromkeys(each for each in one.platforms if each in other.platforms))
    if len(shared) > MAX_IMAGES:
        error = LimitExceededError(f"the two have {len(shared)} platforms in common (limit {MAX_IMAGES})")
        error.add_note("hint: choose one with --platform OS/ARCH")
        raise error
    return shared


def _layers(inspection: Inspection) -> tuple[Digest, ...]:
    """What the layers of an image are whatever their compression, as far as its config tells."""
    image = inspection.image
    return image.config.diff_ids or tuple(layer.digest for layer in image.manifest.layers)


_Key = tuple[Role, int | None, str]


def _part_differences(
    platform: Platform | None,
    first: tuple[Source, Inspection],
    second: tuple[Source, Inspection],
    options: TransferOptions,
) -> Iterator[PartDifference]:
    left, right = _by_key(first[1]), _by_key(second[1])
    common = [key for key in left if key in right]
    doubtful = [key for key in common if not _is_surely_same(first[1], left[key], second[1], right[key])]
    known = [
        _facts(source, inspection, [parts[key] for key in doubtful], options)
        for (source, inspection), parts in ((first, left), (second, right))
    ]
    for key in sorted({**left, **right}, key=lambda key: (list(Role).index(key[0]), key[1] or 0, key[2])):
        one, other = left.get(key), right.get(key)
        if one and other and key not in doubtful:
            continue
        facts = (
            _known(one, known[0], first[1]) if one else None,
            _known(other, known[1], second[1]) if other else None,
        )
        if facts[0] and facts[1] and _is_alike(facts[0], facts[1]):
            continue
        part = one or other
        if part:
            yield PartDifference(platform=platform, part=part, first=facts[0], second=facts[1])


def _by_key(inspection: Inspection) -> dict[_Key, Part]:
    """The parts by what makes two of them the same one: role and number, and the name where that is all there is."""
    parts = parts_of(inspection.artifact)
    return {(part.role, part.index, part.name if part.role is Role.OTHER else ""): part for part in parts}


def _is_surely_same(one: Inspection, part: Part, other: Inspection, counterpart: Part) -> bool:
    """Whether *part* and its *counterpart* are known to be one file without reading them."""
    mine, theirs = declared_facts(part, one.image), declared_facts(counterpart, other.image)
    if mine.digest and theirs.digest:
        return _is_alike(mine, theirs)
    match part.locator, counterpart.locator:
        case Member(descriptor=layer, path=path), Member(descriptor=same, path=there):
            return layer.digest == same.digest and path == there
        case RootfsFile(path=path), RootfsFile(path=there):
            return path == there and _layers(one) == _layers(other)
        case _:
            return False


def _facts(
    source: Source, inspection: Inspection, parts: Sequence[Part], options: TransferOptions
) -> Mapping[Part, PartFacts]:
    """Facts about *parts*; parts without a known digest are read."""
    declared = {part: declared_facts(part, inspection.image) for part in parts}
    unknown = tuple(part for part, facts in declared.items() if facts.digest is None)
    if not unknown:
        return declared
    reporter, max_size = options.reporter, options.max_size
    return declared | dict(measured_facts(source, inspection.image, unknown, reporter=reporter, max_size=max_size))


def _known(part: Part, facts: Mapping[Part, PartFacts], inspection: Inspection) -> PartFacts:
    return facts.get(part) or declared_facts(part, inspection.image)


def _is_alike(one: PartFacts, other: PartFacts) -> bool:
    types = {facts.disk_type for facts in (one, other)} - {None}
    return one.digest == other.digest and len(types) < 2


def _labels(inspection: Inspection) -> Mapping[str, str]:
    """The labels that say nothing about parts: those are compared themselves."""
    from eci_convert.dialects.part_labels import other_labels

    return other_labels(inspection.image.config.labels)


def _label_differences(
    platform: Platform | None, first: Mapping[str, str], second: Mapping[str, str]
) -> Iterator[LabelDifference]:
    for key in sorted({**first, **second}):
        if first.get(key) != second.get(key):
            yield LabelDifference(platform=platform, key=key, first=first.get(key), second=second.get(key))

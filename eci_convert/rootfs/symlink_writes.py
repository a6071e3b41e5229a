"""Entries that a layer writes through a symbolic link of a lower layer.

`link/file` in a layer without an entry for `link` is located where the `link` of a lower layer leads, if that is a
symbolic link: unpackers (umoci, Docker's vfs driver) do so. This is known only after the lower layers were read.
"""

from __future__ import annotations

from eci_convert.rootfs.layer_stack import Found, MergedDirectory, Stack, Undecided
from eci_convert.rootfs.layer_tree import LayerTree
from eci_convert.rootfs.nodes import Directory, Node, Symlink, components


def resolve_symlink_writes(stack: Stack, depth: int) -> Undecided | None:
    """Moves such entries of the layers above number *depth* to where they belong.

    Returns what depends on lower layers, or None if all entries are in place.
    """
    for number in reversed(range(min(depth, len(stack.layers)))):
        while stack.layers[number].unnamed:
            stack.layers[number].unnamed = False
            unknown = _one_pass(stack, number)
            if unknown:
                stack.layers[number].unnamed = True
                return unknown
    return None


def _one_pass(stack: Stack, number: int) -> Undecided | None:
    """Examines every such directory of the layer. What is moved may have to be examined again."""
    layer = stack.layers[number]
    for path, parent, directory in layer.unnamed_directories():
        link = stack.lookup("/".join(path), below=number + 1, follow=False)
        if isinstance(link, Undecided):
            return link
        if isinstance(link, Found) and isinstance(link.node, Symlink):
            target = stack.lookup("/".join(path), below=number + 1)
            if isinstance(target, Undecided):
                return target
            if not (isinstance(target, Found) and not isinstance(target.node, MergedDirectory)):
                del parent.children[path[-1]]
                _merge(layer, target.path, directory)
                layer.unnamed = True
                continue
        directory.has_entry = True
    return None


def _merge(layer: LayerTree, path: str, directory: Directory) -> None:
    """Moves the content of *directory* to *path*, where existing entries are kept."""
    pending: list[tuple[Directory, Directory]] = [(layer.directory(components(path)), directory)]
    while pending:
        into, out = pending.pop()
        into.opaque = into.opaque or out.opaque
        for name, node in out.children.items():
            existing: Node = into.children.setdefault(name, node)
            if existing is not node and isinstance(existing, Directory) and isinstance(node, Directory):
                existing.has_entry = existing.has_entry or node.has_entry
                pending.append((existing, node))

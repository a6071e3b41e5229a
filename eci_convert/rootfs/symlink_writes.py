"""Entries that a layer wrote through a symbolic link of a lower one.

`link/file` in a layer that has no entry for `link` lies where the `link` of a lower layer leads, if that is a symbolic
link: so layers are unpacked (umoci, Docker's vfs driver). Whether it is one is known when the lower layers are.
"""

from __future__ import annotations

from eci_convert.rootfs.layer_stack import Found, MergedDirectory, Stack, Undecided
from eci_convert.rootfs.layer_tree import LayerTree
from eci_convert.rootfs.nodes import Directory, Node, Symlink, components


def resolve_symlink_writes(stack: Stack, depth: int) -> Undecided | None:
    """Puts such entries of the layers above number *depth* where they belong.

    Returns what a lower layer has to say before that can be done, or None if all is where it belongs.
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
    """Looks at every such directory of the layer. What is moved may need another look where it is then."""
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
    """Moves what is in *directory* to *path*, where what came there by its own name stays."""
    pending: list[tuple[Directory, Directory]] = [(layer.directory(components(path)), directory)]
    while pending:
        into, out = pending.pop()
        into.opaque = into.opaque or out.opaque
        for name, node in out.children.items():
            there: Node = into.children.setdefault(name, node)
            if there is not node and isinstance(there, Directory) and isinstance(node, Directory):
                there.has_entry = there.has_entry or node.has_entry
                pending.append((there, node))

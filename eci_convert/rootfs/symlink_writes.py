"""Entries that a layer wrote through a symbolic link of a lower one.

`link/file` in a layer that has no entry for `link` lies where the `link` of a lower layer leads, if that is a symbolic
link: so layers are unpacked (umoci, Docker's vfs driver). Whether it is one is known when the lower layers are.
"""

from __future__ import annotations

from eci_convert.rootfs.layer_stack import Found, Stack, Unknown, View
from eci_convert.rootfs.layer_tree import Layer
from eci_convert.rootfs.nodes import Dir, Node, Symlink, parts


def grafted(stack: Stack, depth: int) -> Unknown | None:
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


def _one_pass(stack: Stack, number: int) -> Unknown | None:
    """Looks at every such directory of the layer. What is moved may need another look where it is then."""
    layer = stack.layers[number]
    for path, parent, directory in layer.unnamed_directories():
        link = stack.lookup("/".join(path), below=number + 1, follow=False)
        if isinstance(link, Unknown):
            return link
        if isinstance(link, Found) and isinstance(link.node, Symlink):
            target = stack.lookup("/".join(path), below=number + 1)
            if isinstance(target, Unknown):
                return target
            if not (isinstance(target, Found) and not isinstance(target.node, View)):
                del parent.children[path[-1]]
                _merge(layer, target.path, directory)
                layer.unnamed = True
                continue
        directory.named = True
    return None


def _merge(layer: Layer, path: str, directory: Dir) -> None:
    """Moves what is in *directory* to *path*, where what came there by its own name stays."""
    pending: list[tuple[Dir, Dir]] = [(layer.directory(parts(path)), directory)]
    while pending:
        into, out = pending.pop()
        into.hides = into.hides or out.hides
        for name, node in out.children.items():
            there: Node = into.children.setdefault(name, node)
            if there is not node and isinstance(there, Dir) and isinstance(node, Dir):
                there.named = there.named or node.named
                pending.append((there, node))

"""The jobs: each way to do one is a line of shell that a user could type. Ours is the first of each."""

from __future__ import annotations

import contextlib
import os
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from integration.bench import parts
from integration.bench.link import slow_link
from integration.bench.measure import Contender, Job
from integration.engines.docker import DockerEngine, docker20, docker28
from integration.engines.programs import Programs
from integration.engines.registry import registry

_LINK = 50_000_000
_FILES = "cmp kernel $P/kernel; cmp initrd $P/initrd; cmp disk $P/disk.raw"
_PARTS = "--kernel $P/kernel --initrd $P/initrd --root $P/disk.raw:raw"
_OUT = "--kernel kernel --initrd initrd --root disk"
_HASH = 'python -c \'import hashlib,sys; print(hashlib.file_digest(open(sys.argv[1], "rb"), "sha256").hexdigest())\''
_PRINT = "python -c 'import json,sys; found = json.load(sys.stdin); print(WHAT)'"
_CREATE = "c=$(docker create machine:1 x)"
_DOCKERFILE = 'printf "FROM scratch\\nLABEL x=$RANDOM\\nCOPY kernel /\\nCOPY initrd /\\nCOPY disk.raw /\\n" > f'
_COPIES = [
    ("registry → layout", "docker://$R/machine:legacy", "oci:l:m", "oci:l:m"),
    ("layout → registry", "oci:new:m", "docker://$R/ours$$:1", "docker://$R/theirs$$:1"),
    ("layout → registry, again", "oci:$W/layout:machine", "docker://$R/ours$$:1", "docker://$R/theirs$$:1"),
    ("layout → oci-archive", "oci:$W/layout:machine", "oci-archive:a:m", "oci-archive:a:m"),
    ("layout → docker-archive", "oci:$W/layout:machine", "docker-archive:a:m:1", "docker-archive:a:m:1"),
    ("registry → registry", "docker://$R/machine:legacy", "docker://$R/ours$$:1", "docker://$R/theirs$$:1"),
    ("oci-archive → layout", "oci-archive:$W/oci.tar:m", "oci:l:m", "oci:l:m"),
    ("docker-archive → layout", "docker-archive:$W/machine.tar", "oci:l:m", "oci:l:m"),
    ("docker-archive → registry", "docker-archive:$W/machine.tar", "docker://$R/ours$$:1", "docker://$R/theirs$$:1"),
    ("containers-storage → layout", ("'containers-storage:[vfs@'$W/r]m:1", "'containers-storage:[vfs@'$W/r+$W/rr]m:1"),
     "oci:l:m", "oci:l:m"),
    ("layout → docker20", "oci:$W/layout:machine", "docker-daemon:ours:1", "docker-daemon:theirs:1"),
    ("docker20 → layout", "docker-daemon:machine:1", "oci:l:m", "oci:l:m"),
    ("layout → containers-storage", "oci:$W/layout:machine", "'containers-storage:[vfs@'$PWD/r]m:1",
     "'containers-storage:[vfs@'$PWD/r+$PWD/rr]m:1"),
]  # fmt: skip
"""Pairs of places: a name, the image (ours and skopeo's, where they differ), and where we and skopeo put it."""
_NEW = f"SOURCE_DATE_EPOCH=$RANDOM$RANDOM eci-convert build {_PARTS} --to oci:new:m -q"
"""Layers that no registry has: both remember where they have put others, and mount those."""
_ANEW = "touch $P/kernel $P/initrd $P/disk.raw"
"""Other layers for docker, which remembers what it has pushed: a file's time is in them."""
_LOADED = "eci-convert copy oci:$W/layout:machine docker-daemon:machine:1 -q"
_FORGET = "rm -f /var/lib/containers/cache/blob-info-cache-v1*"
"""What skopeo remembers of registries; ours is in a folder of its own where it is to know nothing."""
_COLD = "sync; echo 3 > /proc/sys/vm/drop_caches; cat $P/* > /dev/null"
"""Gigabytes are written: each begins with the same room in memory, and the parts in it."""
_INFLATE = """python -c '
import sys
from isal import igzip_lib as igzip
for name in sys.argv[1:]:
    inflate = igzip.IgzipDecompressor(flag=igzip.DECOMP_GZIP)
    with open(name, "rb") as file:
        while not inflate.eof:
            inflate.decompress(file.read(1 << 20) if inflate.needs_input else b"", max_length=1 << 20)
'"""


@contextlib.contextmanager
def prepared() -> Iterator[list[Job]]:
    """All jobs, with the engines, images and files that they need."""
    with docker20() as old, docker28() as new, registry() as plain, slow_link(plain.host, _LINK) as slow:
        os.environ.update(_environment(plain.host, slow))
        _prepare(old, new)
        yield [
            *_out_of_docker(old, new),
            *_files(),
            *_into_docker(old, new),
            *_registry(old),
            *_copies(old),
            *_slow(),
            _start(),
        ]


def _environment(host: str, slow: str) -> dict[str, str]:
    programs = Programs()
    tools = {name.upper(): getattr(programs, name) for name in ("skopeo", "umoci", "oras", "crane", "buildah")}
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    return {**tools, "P": str(parts.make()), "R": host, "SLOW": slow, "PATH": path, "W": f"{parts.FOLDER}-work"}


def _prepare(old: DockerEngine, new: DockerEngine) -> None:
    """The image, everywhere that a job reads it from: both engines, an archive, the registry in both formats."""
    _run("rm -rf $W; mkdir -p $W")
    for engine in (old, new):
        _run(f"eci-convert build {_PARTS} -t machine:1 -q", engine)
    _run("docker save machine:1 -o $W/machine.tar", old)
    _run(f"eci-convert push $R/machine:legacy {_PARTS} --format legacy -q")
    _run(f"eci-convert push $R/machine:artifacts {_PARTS} -q")
    _run(f"eci-convert build {_PARTS} --to oci:$W/layout:machine -q")
    _run("eci-convert copy oci:$W/layout:machine oci-archive:$W/oci.tar:m -q")
    _run("eci-convert copy oci:$W/layout:machine containers-storage:[vfs@$W/r]m:1 -q")


def _run(line: str, engine: DockerEngine | None = None) -> None:
    env = {**os.environ, **(engine.env if engine else {}), "PATH": _path(engine)}
    subprocess.run(["bash", "-euo", "pipefail", "-c", line], env=env, check=True, stdout=subprocess.DEVNULL)


def _path(engine: DockerEngine | None) -> str:
    return f"{Path(sys.executable).parent}:{engine.env['PATH'] if engine else os.environ['PATH']}"


def _with(engine: DockerEngine, **also: str) -> dict[str, str]:
    return {**engine.env, "PATH": _path(engine), **also}


def _out_of_docker(old: DockerEngine, new: DockerEngine) -> Iterator[Job]:
    for engine in (old, new):
        copied = "docker cp -q $c:/kernel kernel" if engine is new else "docker cp $c:/kernel kernel"
        rest = "docker cp $c:/initrd initrd; docker cp $c:/disk-root-disk.raw disk"
        socket = engine.host.removeprefix("unix://")
        bare = f"curl -sf --unix-socket {socket} http://d/containers/$c/archive?path=/disk-root-disk.raw -o /dev/null"
        yield Job(
            name=f"{engine.name} → files",
            goal="1.3 times faster than docker create + cp, at most 1.3 times the bare stream",
            contenders=[
                Contender(name="eci-convert extract", run=f"eci-convert extract machine:1 {_OUT} -q", after=_FILES,
                          env=_with(engine)),
                Contender(name="docker create + docker cp", run=f"{_CREATE}; {copied}; {rest}; docker rm $c",
                          after=_FILES, env=_with(engine)),
                Contender(name="the bare archive stream (disk)", env=_with(engine),
                          run=f"{_CREATE}; {bare}; docker rm $c"),
            ],
        )  # fmt: skip


def _files() -> Iterator[Job]:
    layers = "tar -xOf $W/machine.tar manifest.json | " + _PRINT.replace("WHAT", '*found[0]["Layers"]')
    tar = f"for layer in $({layers}); do tar -xOf $W/machine.tar $layer | tar -x; done; mv disk-root-disk.raw disk"
    yield Job(
        name="docker-archive → files",
        goal="twice as fast as tar of tar",
        contenders=[
            Contender(name="eci-convert extract", run=f"eci-convert extract docker-archive:$W/machine.tar {_OUT} -q",
                      after=_FILES),
            Contender(name="tar -xO | tar -x", run=tar, after=_FILES),
        ],
    )  # fmt: skip
    insert = "; ".join(f"$UMOCI insert --image l:m $P/{file} /{file}" for file in ("kernel", "initrd", "disk.raw"))
    bud = "$BUILDAH --root $PWD/r --runroot $PWD/rr --storage-driver vfs bud --isolation chroot -q -f f -t m $P"
    push = "$BUILDAH --root $PWD/r --runroot $PWD/rr --storage-driver vfs push -q m oci:l:m"
    yield Job(
        name="parts → layout",
        goal="at most 1.3 times one sha256 of the disk",
        contenders=[
            Contender(name="eci-convert build --to oci:", run=f"eci-convert build {_PARTS} --to oci:l:m -q"),
            Contender(name="one sha256 of the disk", run=f"{_HASH} $P/disk.raw"),
            Contender(name="umoci insert", run=f"$UMOCI init --layout l; $UMOCI new --image l:m; {insert}"),
            Contender(name="buildah bud + push", run=f"{_DOCKERFILE}; {bud}; {push}"),
        ],
    )
    yield Job(
        name="layout → files",
        goal="at most 1.25 times the bare inflate",
        contenders=[
            Contender(name="eci-convert extract", run=f"eci-convert extract oci:$W/layout {_OUT} -q", after=_FILES),
            Contender(name="the bare inflate", run=f"{_INFLATE} $(find $W/layout/blobs -size +1M)"),
            Contender(name="umoci raw unpack", run="$UMOCI raw unpack --image $W/layout:machine u"),
        ],
    )


def _into_docker(old: DockerEngine, new: DockerEngine) -> Iterator[Job]:
    for engine, kits in ((old, {"classic": "0", "BuildKit": "1"}), (new, {"BuildKit": "1"})):
        builds = [
            Contender(name=f"docker build ({kit})", run="docker build -q -t built:1 $P -f f",
                      after="docker rmi built:1", before=f"{_DOCKERFILE}; docker builder prune -af || true; {_COLD}",
                      env=_with(engine, DOCKER_BUILDKIT=on))
            for kit, on in kits.items()
        ]  # fmt: skip
        yield Job(
            name=f"parts → {engine.name}",
            goal="twice as fast as docker build",
            contenders=[
                Contender(name="eci-convert build", run=f"eci-convert build {_PARTS} -t ours:1 -q",
                          before=f"docker rmi -f machine:1; {_COLD}", after="docker rmi ours:1",
                          env=_with(engine)),
                *builds,
            ],
        )  # fmt: skip


def _registry(old: DockerEngine) -> Iterator[Job]:
    digests = _PRINT.replace("WHAT", '*(layer["digest"] for layer in found["layers"])')
    urls = f"$($CRANE manifest --insecure $R/machine:legacy | {digests})"
    curl = f"for d in {urls}; do curl -sf http://$R/v2/machine/blobs/$d > b; sha256sum b; pigz -dc b | tar -x; done"
    cp = (
        "c=$(docker create $R/machine:legacy x); for f in kernel initrd disk-root-disk.raw; do docker cp $c:/$f .; done"
    )
    skopeo = "$SKOPEO copy -q --src-tls-verify=false docker://$R/machine:legacy oci:l:m"
    yield Job(
        name="registry → files",
        goal="5 times faster than skopeo + umoci, 8 than docker, 2.5 than curl + pigz + tar",
        contenders=[
            Contender(name="eci-convert extract", run=f"eci-convert extract docker://$R/machine:legacy {_OUT} -q",
                      after=_FILES),
            Contender(name="the bare inflate", run=f"{_INFLATE} $(find $W/layout/blobs -size +1M)"),
            Contender(name="skopeo + umoci raw unpack", run=f"{skopeo}; $UMOCI raw unpack --image l:m u"),
            Contender(name="docker pull + create + cp", run=f"docker pull -q $R/machine:legacy; {cp}; docker rm $c",
                      before="docker rmi -f $R/machine:legacy machine:1", env=_with(old)),
            Contender(name="curl + sha256sum + pigz + tar", run=curl),
            Contender(name="crane export + tar", run="$CRANE export --insecure $R/machine:legacy - | tar -x"),
        ],
    )  # fmt: skip
    push = "docker build -q -t $R/built:$$ $P -f f; docker push -q $R/built:$$"
    yield Job(
        name="parts → registry (legacy)",
        goal="10 times faster than docker build + push",
        contenders=[
            Contender(name="eci-convert push", run=f"eci-convert push $R/fresh$$:1 {_PARTS} --format legacy -q"),
            Contender(name="the same again: no blob is sent",
                      run=f"eci-convert push $R/machine:legacy {_PARTS} --format legacy -q"),
            Contender(name="docker build + push", run=push, before=f"{_DOCKERFILE}; {_ANEW}", env=_with(old)),
        ],
    )  # fmt: skip
    yield Job(
        name="parts → registry (artifacts)",
        goal="as fast as oras push",
        contenders=[
            Contender(name="eci-convert push", run=f"XDG_STATE_HOME=$PWD eci-convert push $R/raw$$:1 {_PARTS} -q"),
            Contender(name="oras push", run="$ORAS push --plain-http $R/oras$$:1 kernel initrd disk.raw",
                      before="ln -s $P/kernel $P/initrd $P/disk.raw ."),
        ],
    )  # fmt: skip


def _copies(old: DockerEngine) -> Iterator[Job]:
    """Those into a registry are the first there: the same again has a row of its own, where each may remember."""
    skopeo = "$SKOPEO copy -q --src-tls-verify=false --dest-tls-verify=false"
    for name, there, ours, theirs in _COPIES:
        our, their = there if isinstance(there, tuple) else (there, there)
        before, state = (_NEW if "new" in our else "true"), ""
        if name in ("registry → registry", "docker-archive → registry"):
            before, state = _FORGET, "XDG_STATE_HOME=$PWD "
        host = ""
        if "docker-daemon" in our:
            before, host = f"docker image inspect machine:1 || {_LOADED}", " --src-daemon-host $DOCKER_HOST"
        if "docker-daemon" in ours:
            before, host = f"docker rmi machine:1 ours:1 theirs:1 || true; {_COLD}", " --dest-daemon-host $DOCKER_HOST"
        yield Job(
            name=f"copy {name}",
            goal="as fast as skopeo copy",
            contenders=[
                Contender(name="eci-convert copy", run=f"{state}eci-convert copy {our} {ours} -q", before=before,
                          env=_with(old)),
                Contender(name="skopeo copy", run=f"{skopeo}{host} {their} {theirs}", before=before, env=_with(old)),
            ],
        )  # fmt: skip


def _slow() -> Iterator[Job]:
    skopeo = "$SKOPEO copy -q --src-tls-verify=false docker://$SLOW/machine:artifacts oci:l:m"
    yield Job(
        name="registry → files at 50 MB/s a connection",
        goal="4 times faster than skopeo and oras",
        contenders=[
            Contender(name="eci-convert pull", run="eci-convert pull $SLOW/machine:artifacts -q"),
            Contender(
                name="skopeo copy",
                run=skopeo,
            ),
            Contender(name="oras pull", run="$ORAS pull --plain-http $SLOW/machine:artifacts"),
        ],
    )


def _start() -> Job:
    python = shlex.quote(sys.executable)
    return Job(
        name="--version",
        goal="under 100 ms",
        contenders=[
            Contender(name="eci-convert --version", run="eci-convert --version"),
            Contender(name="a bare interpreter", run=f"{python} -c pass"),
        ],
    )

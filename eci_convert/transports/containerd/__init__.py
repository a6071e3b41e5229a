r"""containerd's gRPC API, as much of it as images need. `transports.containerd` alone uses this.

containerd.proto     the messages, written by us; transports/containerd/proto/containerd_pb2.py and .pyi are made from it (below)
transports/containerd/connection.py        one channel to one socket in one namespace: its errors are ours
transports/containerd/stall_watch.py             and nothing waits for ever
transports/containerd/lease.py            what keeps the garbage collector away while we work
transports/containerd/writer.py            one open ingest
transports/containerd/ingest.py            content written in streams, taken up again where an earlier attempt ended
transports/containerd/content.py          content looked up, read, labelled
transports/containerd/gc_labels.py        labels that keep the garbage collector away afterwards
transports/containerd/images.py           image records
transports/containerd/names.py             what a user's words may stand for among their names

The messages are made anew by one command, at the top of the repository. protobuf 4.25 makes code that every later one
reads as well, hence its compiler and not the newest:

    python -m venv /tmp/protoc && /tmp/protoc/bin/pip install 'grpcio-tools==1.60.*' 'setuptools<80' && \
        /tmp/protoc/bin/python -m grpc_tools.protoc -I. --python_out=. --pyi_out=. \
            eci_convert/transports/containerd_api/containerd.proto && \
        sed -i '1i # ruff: noqa\n# mypy: disable-error-code="type-arg"' \
            eci_convert/transports/containerd_api/containerd_pb2.pyi
"""

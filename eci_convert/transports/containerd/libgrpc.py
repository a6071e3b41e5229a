"""The gRPC library. It has no wheels for some architectures (armv7l, riscv64): the error there says what to install."""

from __future__ import annotations

from eci_convert.errors import LocalError

try:
    import grpc
except ImportError as error:
    missing = LocalError("containerd: needs the package grpcio, which is not installed")
    missing.add_note("hint: pip install grpcio (without a wheel for this computer, that needs a C++ compiler)")
    raise missing from error

__all__ = ["grpc"]

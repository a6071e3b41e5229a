"""The gRPC library. If it is missing (there are no wheels for armv7l and riscv64), the import raises LocalError with a
hint."""

from __future__ import annotations

from eci_convert.errors import LocalError

try:
    import grpc
except ImportError as error:
    missing = LocalError("containerd: needs the package grpcio, which is not installed")
    missing.add_note("hint: pip install grpcio (without a wheel for this computer, that needs a C++ compiler)")
    raise missing from error

__all__ = ["grpc"]

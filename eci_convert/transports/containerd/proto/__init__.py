"""containerd's protobuf messages (README.md says how they are generated)."""

"""Diagnosis of this computer and of a registry.

programs.py   the Docker engine, podman, containerd and qemu-img of this computer
registry.py   one registry: whether it answers, how it authenticates, which credential would be sent
"""

"""What is here and what would be used: for people whose image does not arrive.

programs.py   the Docker engine, podman, containerd and qemu-img of this computer
registry.py   one registry: whether it answers, what it wants, and what it would be told
"""

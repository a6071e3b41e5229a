"""Formats whose parts are blobs of an OCI artifact.
ironcore.py         ironcore-image, and onmetal-image before it
kubevirt.py         KubeVirt's VirtualMachine exports as artifacts"""

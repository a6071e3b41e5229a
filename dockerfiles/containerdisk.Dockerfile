# A disk as KubeVirt wants it: the one file in /disk, which qemu's user in KubeVirt's pods may read.
# The label makes it an ECI image too, and names the part; without it the disk is found all the same.
#
# The context holds root.img.
#
#     docker build -f containerdisk.Dockerfile -t my-disk DIR
#     eci-convert extract my-disk out/

FROM scratch
COPY --chown=107:107 root.img /disk/root.img
LABEL org.lfedge.eci.artifact.root="/disk/root.img"

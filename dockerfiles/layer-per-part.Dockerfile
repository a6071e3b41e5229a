# A machine as an ECI image, one layer a part: whoever has one part already need not get it again.
#
# The context holds vmlinuz, initrd.img, root.img and data.img. Build it with any builder:
#
#     docker build -f layer-per-part.Dockerfile -t my-machine DIR
#     eci-convert extract my-machine out/
#
# `eci-convert dockerfile` writes such a file for parts of any name, and `eci-convert build` makes the image without one.

FROM scratch
COPY vmlinuz    /kernel
COPY initrd.img /initrd
COPY root.img   /disk-root-root.img
COPY data.img   /disk-0-data.img
LABEL org.lfedge.eci.artifact.kernel="/kernel"
LABEL org.lfedge.eci.artifact.initrd="/initrd"
LABEL org.lfedge.eci.artifact.root="/disk-root-root.img"
LABEL org.lfedge.eci.artifact.disk-0="/disk-0-data.img"

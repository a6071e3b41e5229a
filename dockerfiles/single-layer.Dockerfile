# The same machine in one layer: one download, for machines whose parts always change together.
#
# COPY renames one file at a time, so the parts get their names in a stage before, and are copied together from there.
# (Where the files of the context have these names already, `COPY kernel initrd … /` does it without a stage;
# `eci-convert dockerfile --single-layer --stage DIR` arranges that.)
#
#     docker build -f single-layer.Dockerfile -t my-machine DIR
#     eci-convert extract my-machine out/

FROM scratch AS parts
COPY vmlinuz    /kernel
COPY initrd.img /initrd
COPY root.img   /disk-root-root.img
COPY data.img   /disk-0-data.img

FROM scratch
COPY --from=parts / /
LABEL org.lfedge.eci.artifact.kernel="/kernel"
LABEL org.lfedge.eci.artifact.initrd="/initrd"
LABEL org.lfedge.eci.artifact.root="/disk-root-root.img"
LABEL org.lfedge.eci.artifact.disk-0="/disk-0-data.img"

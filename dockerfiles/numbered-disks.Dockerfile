# Disks counted from 1, as the documentation of ECI has them (its code counts from 0). Any numbers do: they are told
# apart and put in order as numbers, so disk-10 comes after disk-2.
#
# The context holds vmlinuz, root.img and data.img; a machine needs no part in particular, here it has no initrd.
#
#     docker build -f numbered-disks.Dockerfile -t my-machine DIR
#     eci-convert extract my-machine out/ --disk 10=ten.img

FROM scratch
COPY vmlinuz  /kernel
COPY root.img /disks/root.img
COPY data.img /disks/one.img
COPY data.img /disks/two.img
COPY data.img /disks/ten.img
LABEL org.lfedge.eci.artifact.kernel="/kernel" \
      org.lfedge.eci.artifact.root="/disks/root.img" \
      org.lfedge.eci.artifact.disk-1="/disks/one.img" \
      org.lfedge.eci.artifact.disk-2="/disks/two.img" \
      org.lfedge.eci.artifact.disk-10="/disks/ten.img"

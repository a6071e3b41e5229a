# A container image that is a machine as well: the parts stay where a distribution has them, and labels point there.
#
# Any image will do that has a kernel in it, say `FROM debian` with `RUN apt-get install linux-image-amd64`; here the
# files come from the context, which holds vmlinuz, initrd.img and root.img. A label may also name a link, such as the
# /vmlinuz of Debian: it is followed, inside the image.
#
#     docker build -f labels-by-hand.Dockerfile -t my-machine DIR
#     eci-convert extract my-machine out/

FROM scratch
COPY vmlinuz    /boot/vmlinuz
COPY initrd.img /boot/initrd.img
COPY root.img   /var/lib/machines/root.img
LABEL org.lfedge.eci.artifact.kernel="/boot/vmlinuz"
LABEL org.lfedge.eci.artifact.initrd="/boot/initrd.img"
LABEL org.lfedge.eci.artifact.root="/var/lib/machines/root.img"

# eci-convert itself, as an image that runs as a user without privileges:
#
#     docker build -f dockerfiles/eci-convert.Dockerfile -t eci-convert .
#     docker run --rm --user "$(id -u):$(id -g)" -v "$PWD:/work" -v "$HOME/.docker:/docker:ro" \
#         eci-convert push registry.example/edge/machine:1 --kernel vmlinuz --root disk.qcow2
#
# Credential helpers that the Docker config names are programs, and not in the image: credentials must be in the file, or
# come with --username and --password-stdin (`docker run -i`). A registry on this machine is reached with --network host,
# a Docker engine with -v /var/run/docker.sock:/var/run/docker.sock and a user who may write to that socket.
#
# BASE is any image with Python 3.11 or newer and its venv module. The PIP_* arguments are pip's: an index of your own.

ARG BASE=python:3.13-slim

FROM ${BASE} AS build
ARG PIP_INDEX_URL
ARG PIP_NO_INDEX
ARG PIP_FIND_LINKS
ARG PIP_TRUSTED_HOST
COPY pyproject.toml README.md LICENSE /source/
COPY eci_convert /source/eci_convert
RUN python3 -m venv /build \
 && python3 -m venv --without-pip /opt/eci-convert \
 && /build/bin/pip --python /opt/eci-convert/bin/python install --no-cache-dir --only-binary :all: --no-binary eci-convert /source \
 && mkdir -m 1777 -p /home/eci-convert /work

FROM ${BASE}
LABEL org.opencontainers.image.title="eci-convert" org.opencontainers.image.licenses="Apache-2.0"
COPY --from=build /opt/eci-convert /opt/eci-convert
COPY --from=build --chown=65532:65532 /home/eci-convert /home/eci-convert
COPY --from=build --chown=65532:65532 /work /work
ENV HOME=/home/eci-convert DOCKER_CONFIG=/docker PATH=/opt/eci-convert/bin:$PATH
USER 65532:65532
WORKDIR /work
ENTRYPOINT ["eci-convert"]

"""A Docker engine builds the image from a generated or a given Dockerfile.
builders.py         BUILDERS: which program builds; build
request.py          BuildRequest: what to build
build_context.py    the build context as a tar stream
engine_api.py       the engine's build API, through the Docker SDK
buildx.py           BuildKit, through python-on-whales
result.py           the built image, checked against the request
dockerfile/         the Dockerfile itself, and a context staged in a directory"""

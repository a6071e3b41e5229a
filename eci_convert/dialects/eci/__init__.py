"""lf-edge's Edge Container Image (ECI).
artifacts.py        the artifacts format: a blob a part
legacy.py           the legacy format: a container image with a layer a part
labels.py           any container image whose labels name files as parts
layer_roles.py      roles of layers, for artifacts.py and legacy.py
media_types.py      ECI's media types and layer annotations"""

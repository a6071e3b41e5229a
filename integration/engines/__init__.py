"""Real engines of a test's own: each in a new folder, on its own socket or loopback port, and gone when the test is.

`programs` knows where everything is, `daemon` keeps a process and its mounts from outliving whoever started it, and
one module an engine says how it is started and asked. `python -m integration.engines start docker28` is for hands.
"""

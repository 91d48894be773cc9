"""The engine: a program of its own that runs HolmesGPT, in `.venv-holmes`, behind a process boundary.

`messages.py` and `framing.py` are what both sides share and all that the service may import from here. The
rest runs in the engine's environment alone: a zygote (`zygote.py`) that imports HolmesGPT once and never talks
to a model, and forked children, each of which serves runs of one reach (`child.py`). Nothing of ours is imported but `libs.contracts`.
Why so: docs/decisions/0007-engine-behind-a-process-boundary.md.
"""

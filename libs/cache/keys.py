"""Build keys that cannot collide, whatever their parts contain."""

from __future__ import annotations


def key(*parts: str) -> str:
    """Join the parts, each with its length in front.

    Without lengths, tenant `a` with name `b:c` and tenant `a:b` with name `c` would share a value.
    """
    return "".join(f"{len(part)}:{part}" for part in parts)

"""Tell a peer's "no" that waiting may cure from one that it cannot."""

from __future__ import annotations

from libs.clients import PeerRefused, PeerUnavailable

_OF_OUR_CREDENTIAL = frozenset({401, 403})


def as_unavailable(error: PeerRefused) -> PeerUnavailable | None:
    """A refused credential says nothing about the request: keys are being rotated, or somebody mends a role.

    None for every other refusal.
    """
    if error.status not in _OF_OUR_CREDENTIAL:
        return None
    return PeerUnavailable(error.peer, f"http-{error.status}", detail=error.problem.code)

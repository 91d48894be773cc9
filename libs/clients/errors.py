"""What a call to another of our services can end with.

PeerError
├── PeerUnavailable    no usable answer: network, timeout, 5xx, 408, 429, open breaker, not our contract
└── PeerRefused        the peer understood and said no (any other 4xx)
"""

from __future__ import annotations

from datetime import timedelta

from libs.contracts.problem import Problem


class PeerError(Exception):
    """Base of both; `peer` is the service's name."""

    def __init__(self, peer: str, text: str) -> None:
        super().__init__(f"{peer}: {text}")
        self.peer = peer


class PeerUnavailable(PeerError):
    """The peer gave no usable answer; the same call may succeed later.

    Attributes:
        reason: stable word, e.g. `timeout`, `connect`, `http-503`, `breaker-open`, `deadline-passed`.
        retry_after: how long the peer (or the breaker) asks to be left alone; None: it did not say.
    """

    def __init__(
        self, peer: str, reason: str, *, retry_after: timedelta | None = None, detail: str = ""
    ) -> None:
        super().__init__(peer, f"{reason} ({detail})" if detail else reason)
        self.reason, self.retry_after, self.detail = reason, retry_after, detail


class PeerRefused(PeerError):
    """The peer refused this request; sending it again unchanged is pointless."""

    def __init__(self, peer: str, status: int, problem: Problem) -> None:
        super().__init__(peer, f"HTTP {status} {problem.code}: {problem.detail or problem.title}")
        self.status, self.problem = status, problem

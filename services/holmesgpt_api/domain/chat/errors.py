"""What can go wrong in a chat, as facts. HTTP's view of them is `routes/chat_problems.py`.

HolmesError
└── ChatError
    ├── UnknownSession      no such session for this caller
    ├── StillAnswering      the session's question before is not answered yet
    ├── OtherInvestigation  the session is about another investigation
    ├── TooManyQuestions    the caller has as many questions open as one may have
    ├── TooManySockets      the caller has as many WebSockets open as one may have
    ├── TooManySessions     the caller has as many sessions as one may have
    ├── NothingKnown        no model, and triage cannot answer this question
    └── EvidenceAway        what an answer would rest on cannot be had now
"""

from __future__ import annotations

from datetime import timedelta

from services.holmesgpt_api.domain.errors import HolmesError


class ChatError(HolmesError):
    """The root of chat's errors."""


class UnknownSession(ChatError):
    """No such session, one that has ended, or another caller's; the answer does not tell which."""


class StillAnswering(ChatError):
    """One question of a session at a time: what is asked second may rest on the first one's answer."""


class OtherInvestigation(ChatError):
    """A session is about one investigation; another one needs another session."""


class TooManyQuestions(ChatError):
    def __init__(self, most: int) -> None:
        super().__init__(f"{most} questions of this caller are being answered; wait for one of them")
        self.most = most


class TooManySockets(ChatError):
    def __init__(self, most: int) -> None:
        super().__init__(f"this caller has {most} WebSockets open here; close one")
        self.most = most


class TooManySessions(ChatError):
    def __init__(self, most: int) -> None:
        super().__init__(f"this caller has {most} sessions; go on with one, or delete one")
        self.most = most


class NothingKnown(ChatError):
    """Nobody can answer this question. `word`: why no model does; `detail`: what can be asked instead."""

    def __init__(self, word: str, detail: str) -> None:
        super().__init__(detail)
        self.word = word


class EvidenceAway(ChatError):
    def __init__(self, detail: str, *, retry_after: timedelta | None = None) -> None:
        super().__init__(detail)
        self.retry_after = retry_after

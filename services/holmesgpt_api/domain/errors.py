"""What can go wrong here, as facts. HTTP's view of them is `routes/problems.py`.

HolmesError
├── UnknownInvestigation    no such investigation for this caller
├── NotReadable             the alert speaks of a namespace this caller may not read
├── KeyReused               the Idempotency-Key was used before, for another request
├── BadCursor               a page's cursor that we did not write
├── NotYours                somebody else's investigation, which this caller may see and not stop
├── AlreadyEnded            it has ended, so there is nothing to stop
├── StillRunning            it has no verdict yet that could be replayed
├── NothingToReplay         it ended without one
├── UnknownHere             an engine, model or prompt version that is not configured
├── TooManyInvestigations   this caller has as many under way as it may
├── TooManyStreams          this caller has as many event streams open as it may
├── StreamsFull             this process has
├── PlatformsOwn            the platform service answers this, and it is not known where that is
├── Failed                  the investigation a caller waited for came to nothing
└── EngineError
    ├── NotNow              the engine cannot answer now; the same run may succeed later
    └── Impossible          it never will; trying again is pointless
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta


class HolmesError(Exception):
    """The root of this service's errors."""


class UnknownInvestigation(HolmesError):
    """No such investigation, or not one this caller may see; the answer does not tell which."""


class NotReadable(HolmesError):
    """The caller may not read this namespace (None: cluster scope), so nothing is investigated there."""

    def __init__(self, namespace: str | None) -> None:
        super().__init__(f"namespace {namespace}" if namespace else "objects of the cluster's scope")
        self.namespace = namespace


class KeyReused(HolmesError):
    """One Idempotency-Key, two different requests."""

    def __init__(self, investigation_id: str) -> None:
        super().__init__(f"the key belongs to {investigation_id}, which was asked for something else")
        self.investigation_id = investigation_id


class PlatformsOwn(HolmesError):
    """Signing in, users and roles are the platform service's, and nobody has said where that is."""

    def __init__(self) -> None:
        super().__init__(
            "signing in, users and roles are the platform service's; ask it, or have PLATFORM_URL set here, and"
            " requests to /auth/… are sent on to it"
        )


class BadCursor(HolmesError):
    """The cursor was not written by this service."""


class NotYours(HolmesError):
    """Only who asked for an investigation may stop it, and who administers the system."""

    def __init__(self) -> None:
        super().__init__("somebody else asked for this investigation")


class AlreadyEnded(HolmesError):
    """It has ended, with the status named."""

    def __init__(self, investigation_id: str, status: str) -> None:
        super().__init__(f"{investigation_id} has ended already: {status}")
        self.investigation_id = investigation_id


class StillRunning(HolmesError):
    """What is asked of it can be asked when it has ended."""

    def __init__(self, investigation_id: str) -> None:
        super().__init__(f"{investigation_id} has not ended yet")


class NothingToReplay(HolmesError):
    """It ended without a verdict, so there is no evidence to conclude from."""

    def __init__(self, investigation_id: str, status: str) -> None:
        super().__init__(f"{investigation_id} is {status} and has no evidence to conclude from")


class UnknownHere(HolmesError):
    """`name` of the request is none of what is configured."""

    def __init__(self, name: str, given: str, known: Sequence[str]) -> None:
        there = f"want one of: {', '.join(known)}" if known else "leave it out with this engine"
        super().__init__(f"body.{name}: {given!r} is unknown here; {there}")


class TooManyInvestigations(HolmesError):
    """This caller has as many investigations under way as it may."""

    def __init__(self, most: int) -> None:
        super().__init__(
            f"you have {most} investigations under way already; come again when some have ended, or cancel one"
        )


class TooManyStreams(HolmesError):
    """This caller has as many event streams open as it may."""

    def __init__(self, most: int) -> None:
        super().__init__(f"you have {most} event streams open already; close one")


class StreamsFull(HolmesError):
    """This process has as many event streams open as it may."""

    def __init__(self, most: int) -> None:
        super().__init__(f"{most} event streams are open here already; come again, or ask another replica")


class Failed(HolmesError):
    """The investigation ended without a verdict while its caller waited. Its row says the same."""

    def __init__(self, investigation_id: str, code: str, error: str) -> None:
        super().__init__(error)
        self.investigation_id, self.code, self.error = investigation_id, code, error


class EngineError(HolmesError):
    """The root of what an engine can end with instead of a verdict.

    Attributes:
        code: stable word, kept in the row and counted.
    """

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code, self.detail = code, detail


class NotNow(EngineError):
    """Something the engine needs does not answer. `retry_after`: how long it asks to be left alone."""

    def __init__(self, code: str, detail: str, *, retry_after: timedelta | None = None) -> None:
        super().__init__(code, detail)
        self.retry_after = retry_after


class Impossible(EngineError):
    """What the engine needs refuses, and will refuse again."""

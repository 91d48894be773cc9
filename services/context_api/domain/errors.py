"""What the Context API can answer instead of evidence.

ContextError
├── NoEvidence       there is no snapshot now; says what to set or that it comes
├── Busy             more questions wait than will be answered in time
├── TooLate          not answered within the caller's time; goes on, and will be there next time
├── UnknownObject    the snapshot holds no such object
├── UnknownCluster   this service speaks for another cluster
├── UnknownEvidence  no fact of that id in what the caller may read
├── NoLog            no such log was recorded; says which were
├── NotReadable      the caller may not read this namespace
├── UnknownAlert     no episode of that fingerprint in what the caller may read
├── NoArchive        the alerts service could not be asked for an alert
├── CannotKeep       an incident's recording cannot be made on this machine now
├── IncidentTooLarge more than is sent in one answer; says how to get it otherwise
├── NamesNoObject    the alert's labels name no object
├── NoRecord         nothing is kept here, since no database is set
├── RecordAway       the database does not serve now
├── TooMuchFeedback  one caller says more about answers than is counted
├── KeyReused        an Idempotency-Key was used before, for another request
├── UnknownVersion   there was no such version of a tuning
├── Outdated         another version is in force than the one that was decided on
├── BadSelector      the label selector cannot be read
└── BadCursor        the page's cursor is of another question, or of an older snapshot
"""

from __future__ import annotations

from datetime import timedelta

from libs.contracts.target import CLUSTER_SCOPE


class ContextError(Exception):
    """Base of these errors; the text is for the caller."""


class NoEvidence(ContextError):
    """`retry_after=None`: waiting will not help, somebody has to change something."""

    def __init__(self, reason: str, *, retry_after: timedelta | None = None) -> None:
        super().__init__(reason)
        self.retry_after = retry_after


class Busy(ContextError):
    """`lane`: whose questions wait; empty where they are told apart by nothing."""

    def __init__(
        self, waiting: int, lane: str = "", *, retry_after: timedelta = timedelta(seconds=1)
    ) -> None:
        super().__init__(
            f"{waiting} {lane} questions wait already" if lane else f"{waiting} questions wait already"
        )
        self.retry_after = retry_after


class TooLate(ContextError):
    def __init__(self, limit: timedelta) -> None:
        super().__init__(f"not answered within {limit.total_seconds():.1f} s; it goes on, ask again")
        self.retry_after = timedelta(seconds=1)


class UnknownObject(ContextError):
    """`what`: what was looked for, e.g. `Pod/shop/api-0`."""

    def __init__(self, what: str, *, hint: str = "") -> None:
        super().__init__(f"the evidence holds no {what}{f'; {hint}' if hint else ''}")


class UnknownCluster(ContextError):
    def __init__(self, asked: str, ours: str) -> None:
        super().__init__(f"this service has evidence of cluster {ours}, and none of {asked}")


class UnknownEvidence(ContextError):
    """Whether there is no such fact, or the caller may not read where it lies, is not told."""

    def __init__(self, evidence_id: str) -> None:
        super().__init__(
            f"no evidence {evidence_id} in what this caller may read; ids are those of an answer about this snapshot"
        )


class NoLog(ContextError):
    """`recorded`: what there is instead, in words."""

    def __init__(self, what: str, recorded: str) -> None:
        super().__init__(f"no {what} was recorded; {recorded}")


class NotReadable(ContextError):
    def __init__(self, namespace: str | None) -> None:
        super().__init__(f"this caller may not read namespace {namespace or CLUSTER_SCOPE}")


class UnknownAlert(ContextError):
    """Whether there is none, or the caller may not read its namespace, is not told."""

    def __init__(self, fingerprint: str) -> None:
        super().__init__(
            f"no alert with fingerprint {fingerprint} in what this caller may read; give the alert's labels instead"
        )


class NoArchive(ContextError):
    def __init__(self, reason: str) -> None:
        super().__init__(f"{reason}; give the alert's labels, or ask again")
        self.retry_after = timedelta(seconds=1)


class CannotKeep(ContextError):
    """`reason`: the file system's word."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"the recording cannot be put together here now: {reason}")
        self.retry_after = timedelta(seconds=30)


class IncidentTooLarge(ContextError):
    """`size` and `most` in bytes."""

    def __init__(self, size: int, most: int) -> None:
        super().__init__(
            f"the incident's evidence packs to {size / 2**20:.0f} MiB, and at most {most / 2**20:.0f} MiB are sent; "
            "record the cluster instead (`kubernaut record --namespace …`)"
        )


class NamesNoObject(ContextError):
    """`why`: which labels were looked at. `field`: where they came from. `remedy`: what to give instead."""

    def __init__(
        self, why: str, *, field: str = "body.alert.labels", remedy: str = "name the object in `target`"
    ) -> None:
        super().__init__(f"{field}: {why}; {remedy}")


class NoRecord(ContextError):
    def __init__(self) -> None:
        super().__init__("nothing is kept here: set DATABASE_URL for the Context API")


class RecordAway(ContextError):
    """`reason`: the database's word. Whether it was recorded is not known; the same key makes a repeat harmless."""

    def __init__(self, reason: str, *, retry_after: timedelta) -> None:
        super().__init__(
            f"the database does not serve now ({reason}); send the request again, under the same Idempotency-Key"
        )
        self.retry_after = retry_after


class TooMuchFeedback(ContextError):
    def __init__(self, most: int, *, retry_after: timedelta) -> None:
        super().__init__(
            f"at most {most} answers an hour are counted of one caller for one tier and investigation type"
        )
        self.retry_after = retry_after


class KeyReused(ContextError):
    def __init__(self) -> None:
        super().__init__(
            "header.idempotency-key: was used for another request; use a new key for a new request"
        )


class UnknownVersion(ContextError):
    def __init__(self, version: int, newest: int) -> None:
        super().__init__(f"body.version: there was no version {version}; they are 0 to {newest}")


class Outdated(ContextError):
    def __init__(self, given: int, present: int) -> None:
        super().__init__(
            f"body.present: version {present} is in force, not {given}; look again and decide anew"
        )


class BadSelector(ContextError):
    """`part`: the requirement that cannot be read."""

    def __init__(self, part: str) -> None:
        super().__init__(
            f"query.labels: {part[:100]!r} is no label requirement; want key=value, key==value, key!=value, key, "
            "!key, key in (a,b), key notin (a,b), key>1 or key<1, separated by commas"
        )
        self.part = part[:100]


class BadCursor(ContextError):
    def __init__(self) -> None:
        super().__init__(
            "query.cursor: no evidence of this question has that id; take it from the page before, or leave it out"
        )

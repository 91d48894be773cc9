"""Filter: which investigations a list is about."""

from __future__ import annotations

import hashlib
from dataclasses import astuple, dataclass
from datetime import datetime

from libs.contracts.alerts import Priority
from libs.contracts.investigations import InvestigationStatus
from services.holmesgpt_api.domain.record import Record


@dataclass(frozen=True, slots=True)
class Filter:
    """What is None is not asked for."""

    status: InvestigationStatus | None = None
    alert_name: str | None = None
    namespace: str | None = None
    priority: Priority | None = None
    engine: str | None = None
    since: datetime | None = None
    """Taken at this time or later."""
    until: datetime | None = None
    """Taken before this time."""

    @property
    def mark(self) -> str:
        """Stands in a page's cursor, so that it is not used with another filter; empty for none at all."""
        if self == EVERYTHING:
            return ""
        told = "\x00".join("" if one is None else str(one) for one in astuple(self))
        return hashlib.sha256(told.encode("utf-8", "surrogatepass")).hexdigest()[:12]

    def matches(self, record: Record) -> bool:
        known = record.known
        return (
            self.status in (None, record.status)
            and self.alert_name in (None, record.request.alert_name)
            and self.namespace in (None, record.namespace)
            and self.priority in (None, record.priority)
            and self.engine in (None, known.engine if known else None)
            and (self.since is None or record.created_at >= self.since)
            and (self.until is None or record.created_at < self.until)
        )


EVERYTHING = Filter()

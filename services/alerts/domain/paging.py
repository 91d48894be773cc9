"""Where a page of episodes ends, as an opaque word a caller gives back."""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass
from datetime import UTC, datetime

from services.alerts.domain.errors import BadCursor

_ID = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True, slots=True)
class Cursor:
    """The last episode of a page: the next one begins behind it."""

    starts_at: datetime
    id: str

    def __str__(self) -> str:
        text = f"{self.starts_at.astimezone(UTC).isoformat()}/{self.id}"
        return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")

    @classmethod
    def read(cls, word: str) -> Cursor:
        """Raises BadCursor for anything `str` did not write."""
        try:
            padded = word.encode("ascii") + b"=" * (-len(word) % 4)
            text = base64.b64decode(padded, altchars=b"-_", validate=True).decode("ascii")
            moment, _, id_ = text.partition("/")
            starts_at = datetime.fromisoformat(moment).astimezone(UTC)
        except (ValueError, binascii.Error, OverflowError):
            raise BadCursor(word[:100]) from None
        cursor = cls(starts_at, id_)
        if not _ID.fullmatch(id_) or str(cursor) != word:
            raise BadCursor(word[:100])
        return cursor

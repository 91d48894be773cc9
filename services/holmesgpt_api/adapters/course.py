"""Reads the events of investigations from PostgreSQL. Fulfils `domain.course.Course`.

They are written by a trigger (migration 0003), and what a row does not say by the ledger, in the transaction that
changes the row.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from sqlalchemy import text

from libs.storage import Database
from services.holmesgpt_api.domain.course import Chapter, Happened

_EVENTS = text("""
    SELECT seq, at, name, data FROM investigation_event
     WHERE investigation = :id AND seq > :after ORDER BY seq LIMIT :at_most
""")
_ROW = text("""
    SELECT tenant, asker, seen, events, ended_at IS NOT NULL AS ended FROM investigation
     WHERE id = :id AND tenant = :tenant
""")
_NEWS = text("""
    SELECT one.id FROM investigation AS one
      JOIN unnest(CAST(:ids AS text[]), CAST(:after AS integer[])) AS followed (id, after) USING (id)
     WHERE one.events > followed.after OR one.ended_at IS NOT NULL
""")


class PostgresCourse:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def read(self, investigation_id: str, *, tenant: str, after: int, at_most: int) -> Chapter | None:
        if "\0" in investigation_id:
            return None
        values = {"id": investigation_id, "tenant": tenant, "after": after, "at_most": at_most}
        async with self._database.begin() as conn:
            # In this order: what events show may have been added to `seen` in their own transaction.
            events = (await conn.execute(_EVENTS, values)).mappings().all()
            row = (await conn.execute(_ROW, values)).mappings().first()
        if row is None:
            return None
        return Chapter(
            [Happened(one["seq"], one["at"], one["name"], one["data"]) for one in events],
            tenant=row["tenant"],
            asker=row["asker"],
            seen=tuple(row["seen"]),
            last=row["events"],
            ended=row["ended"],
        )

    async def news(self, after: Mapping[str, int]) -> Collection[str]:
        values = {"ids": list(after), "after": list(after.values())}
        async with self._database.begin() as conn:
            return set((await conn.execute(_NEWS, values)).scalars())

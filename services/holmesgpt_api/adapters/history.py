"""Looks past investigations up in PostgreSQL. Fulfils `ports.History`.

The columns asked for are kept beside each verdict by the database itself, so that no verdict, which may be a
megabyte of evidence, is read for it; each question is one walk along one index, newest first.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from sqlalchemy import text

from libs.contracts.target import CLUSTER_SCOPE
from libs.storage import Database
from services.holmesgpt_api.domain.clusters import named_by
from services.holmesgpt_api.domain.history import Match, Past

_COLUMNS = """
    id, asker, seen, request->>'alert_name' AS alert_name, cause_reason, cause_target, target_kind,
    recommended, status, created_at, ended_at,
    request->'target'->>'cluster' AS target_cluster, request->'labels'->>'cluster' AS label_cluster
"""
_REST = "AND created_at > now() - CAST(:within AS interval) ORDER BY created_at DESC LIMIT :at_most"
_LIKE = {
    # The name itself may be longer than an index takes.
    "alert": "md5(request->>'alert_name') = md5(:word) AND request->>'alert_name' = :word",
    "cause": "cause_reason = :word",
    "target": "target_kind = :word",
}
STATEMENTS = {
    match: text(f"SELECT {_COLUMNS} FROM investigation WHERE tenant = :tenant AND {like} {_REST}")  # noqa: S608
    for match, like in _LIKE.items()
}


class PostgresHistory:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def like(
        self, match: Match, word: str, *, tenant: str, within: timedelta, at_most: int
    ) -> Sequence[Past]:
        values = {"tenant": tenant, "word": word, "within": within, "at_most": at_most}
        async with self._database.begin() as conn:
            rows = (await conn.execute(STATEMENTS[match], values)).mappings().all()
        return [_past(dict(row)) for row in rows]


def _past(row: dict[str, Any]) -> Past:
    cluster, _ = named_by(row.pop("target_cluster"), row.pop("label_cluster"))
    seen, cause_target = tuple(row.pop("seen")), _named(row.pop("cause_target"))
    return Past(**row, seen=seen, cause_target=cause_target, cluster=cluster)


def _named(target: dict[str, Any] | None) -> str | None:
    if not target:
        return None
    return f"{target['kind']}/{target.get('namespace') or CLUSTER_SCOPE}/{target['name']}"

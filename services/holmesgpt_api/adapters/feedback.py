"""Keeps feedback in PostgreSQL, one row for each caller and investigation. Fulfils `ports.FeedbackBook`."""

from __future__ import annotations

from sqlalchemy import text

from libs.contracts.feedback import FeedbackRequest
from libs.storage import Database

_GIVE = text("""
    INSERT INTO investigation_feedback (investigation, caller, helpful, correct_cause, actual_cause, comment)
    SELECT id, :caller, :helpful, :correct_cause, CAST(:actual_cause AS jsonb), :comment
      FROM investigation WHERE id = :id AND tenant = :tenant AND ended_at IS NOT NULL FOR KEY SHARE
    ON CONFLICT (investigation, caller) DO UPDATE
       SET helpful = excluded.helpful, correct_cause = excluded.correct_cause,
           actual_cause = excluded.actual_cause, comment = excluded.comment, at = excluded.at
    RETURNING xmax <> 0 AS replaced
""")


class PostgresFeedback:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def give(
        self, investigation_id: str, *, tenant: str, caller: str, feedback: FeedbackRequest
    ) -> bool | None:
        actual = feedback.actual_cause
        values = {
            "id": investigation_id,
            "tenant": tenant,
            "caller": caller,
            "helpful": feedback.helpful,
            "correct_cause": feedback.correct_cause,
            "actual_cause": None if actual is None else actual.model_dump_json(),
            "comment": feedback.comment,
        }
        async with self._database.begin() as conn:
            replaced: bool | None = (await conn.execute(_GIVE, values)).scalar_one_or_none()
        return replaced

"""Tell a turn as its caller reads it: the seed's keys, and how the answer came about. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from libs.contracts.chat import ChatAnswer, ChatHistory, ChatTurn
from services.holmesgpt_api.domain.chat.session import Reply, Session, Turn

PATH = "/api/v1/chat"


def answer(turn: Turn, reply: Reply) -> ChatAnswer:
    use = reply.model
    return ChatAnswer(
        response=reply.text,
        session_id=turn.session_id,
        context_used=_context(turn, reply) if turn.include_context else None,
        suggestions=reply.suggestions,
        timestamp=turn.ended_at or turn.asked_at,
        metadata={
            "engine": reply.engine,
            "degraded_reason": reply.degraded_reason,
            "degraded_detail": reply.degraded_detail,
            "tokens_used": use.tokens if use else 0,
            "response_time": max(round(turn.took.total_seconds(), 3), 0.0),
            "turn": turn.number,
            "topic": reply.topic,
            "evidence_ids": reply.evidence_ids,
            "unsupported": reply.unsupported,
            "model": use.model_dump(mode="json") if use else None,
        },
    )


def _context(turn: Turn, reply: Reply) -> dict[str, Any]:
    said = {**reply.context_used, "evidence": reply.evidence_ids}
    return {**said, "metrics": reply.metric_ids} if turn.include_metrics else said


def history(session: Session, turns: Sequence[Turn], next_cursor: str | None) -> ChatHistory:
    return ChatHistory(
        session_id=session.id,
        investigation_id=session.investigation_id,
        namespace=session.about.namespace,
        created_at=session.created_at,
        last_used_at=session.last_at,
        expires_at=session.expires_at,
        turns=[_told(turn) for turn in turns],
        folded=session.folded,
        next_cursor=next_cursor,
    )


def _told(turn: Turn) -> ChatTurn:
    status = "running" if not turn.ended else ("answered" if turn.reply else "failed")
    return ChatTurn(
        number=turn.number,
        message=turn.message,
        asked_at=turn.asked_at,
        status=status,
        answer=answer(turn, turn.reply) if turn.reply else None,
        error_code=turn.error_code,
        error=turn.error,
    )

# ruff: noqa: S608 - only this module's own constants are put into its statements
"""The statements of the chat sessions' record.

Each one that changes a turn asks that it has not ended, and those of a run that no later run has begun. Times are
compared by the database's clock alone.
"""

from sqlalchemy import text

_SESSION = "id, tenant, owner, investigation_id, about::text AS about, turns, folded, created_at, last_at, expires_at"
_TURN = """
    id, session_id, number, message, include_context, include_metrics, asked_at, ended_at,
    deadline_at - asked_at AS life, reply::text AS reply, error_code, error
"""

ONE_AT_A_TIME = text("SELECT pg_advisory_xact_lock(hashtextextended(:tenant || ':' || :owner, 4))")
"""Of one caller's questions; so that what is counted is true until the commit."""

ONE_KEY = text("SELECT pg_advisory_xact_lock(hashtextextended(:tenant || ':' || :owner || ':' || :key, 5))")
"""Of two requests with one key the second sees what the first has recorded."""

BY_KEY = text(f"""
    SELECT {_TURN}, events, digest FROM chat_turn
     WHERE tenant = :tenant AND owner = :owner AND idempotency_key = :key
""")
FIND = text(f"""
    SELECT {_SESSION} FROM chat_session
     WHERE id = :id AND tenant = :tenant AND owner = :owner AND expires_at > now()
""")
LOCK = text(f"""
    SELECT {_SESSION}, EXISTS (
        SELECT FROM chat_turn WHERE session_id = chat_session.id AND ended_at IS NULL) AS answering
      FROM chat_session
     WHERE id = :id AND tenant = :tenant AND owner = :owner AND expires_at > now()
       FOR UPDATE
""")
SESSIONS = text("""
    SELECT count(*) FROM chat_session WHERE tenant = :tenant AND owner = :owner AND expires_at > now()
""")
QUESTIONS = text("""
    SELECT count(*) FROM chat_turn WHERE tenant = :tenant AND owner = :owner AND ended_at IS NULL
""")
BEGIN = text(f"""
    INSERT INTO chat_session (id, tenant, owner, investigation_id, about, idle, expires_at)
    VALUES (:id, :tenant, :owner, :investigation_id, CAST(:about AS jsonb), :idle, now() + :idle)
    RETURNING {_SESSION}
""")
USE = text(f"""
    UPDATE chat_session
       SET turns = turns + 1, last_at = now(), about = CAST(:about AS jsonb),
           investigation_id = coalesce(investigation_id, :investigation_id),
           idle = :idle, expires_at = now() + :idle + CAST(:life AS interval)
     WHERE id = :id
    RETURNING {_SESSION}
""")
ASK = text(f"""
    INSERT INTO chat_turn (id, session_id, number, tenant, owner, reads, message, include_context, include_metrics,
                           interim, verdict, reply, idempotency_key, digest, deadline_at, ended_at)
    VALUES (:id, :session_id, :number, :tenant, :owner, :reads, :message, :include_context, :include_metrics,
            CAST(:interim AS jsonb), CAST(:verdict AS jsonb), CAST(:reply AS jsonb), :key, :digest, now() + :life,
            CASE WHEN CAST(:reply AS jsonb) IS NOT NULL THEN clock_timestamp() END)
    RETURNING {_TURN}
""")
FOLD = text("""
    WITH gone AS (
        DELETE FROM chat_turn WHERE session_id = :id AND number <= :up_to AND ended_at IS NOT NULL RETURNING 1)
    UPDATE chat_session SET folded = folded + (SELECT count(*) FROM gone) WHERE id = :id
""")
LOOK = text(f"SELECT {_TURN}, events FROM chat_turn WHERE id = ANY(:ids)")
TAKE = text("""
    UPDATE chat_turn SET fence = fence + 1
     WHERE id = :id AND ended_at IS NULL
    RETURNING id, session_id, number, fence, tenant, owner, reads, message, interim::text AS interim,
              verdict::text AS verdict, deadline_at - now() AS time_left
""")
EARLIER = text("""
    SELECT message, reply->>'text' AS answer FROM chat_turn
     WHERE session_id = :session_id AND number < :number AND reply IS NOT NULL
     ORDER BY number DESC LIMIT :limit
""")
ABOUT = text("SELECT about::text AS about, folded FROM chat_session WHERE id = :id")
NOTE = text("""
    UPDATE chat_turn
       SET events = CASE WHEN jsonb_array_length(events) >= :most THEN events ELSE
               events || jsonb_build_array(
                   CAST(:event AS jsonb) || jsonb_build_object('number', jsonb_array_length(events) + 1)) END
     WHERE id = :id AND fence = :fence AND ended_at IS NULL
""")
END = text("""
    WITH ended AS (
        UPDATE chat_turn
           SET reply = CAST(:reply AS jsonb), error_code = :code, error = :error, interim = NULL, verdict = NULL,
               ended_at = clock_timestamp()
         WHERE id = :id AND fence = :fence AND ended_at IS NULL
        RETURNING session_id)
    UPDATE chat_session SET last_at = now(), expires_at = now() + idle
      FROM ended WHERE chat_session.id = ended.session_id
    RETURNING chat_session.id
""")
END_OVERDUE = text(f"""
    UPDATE chat_turn
       SET reply = interim || jsonb_build_object(
               'degraded_reason', 'model-timeout',
               'degraded_detail', CASE WHEN fence = 0 THEN 'no place at the model was free in time'
                                       ELSE 'the model had not answered in time' END),
           error_code = CASE WHEN interim IS NULL THEN 'model-timeout' END,
           error = CASE WHEN interim IS NULL THEN
               'The model had not answered in time, and triage has no answer to this question.' END,
           fence = fence + 1, interim = NULL, verdict = NULL, ended_at = clock_timestamp()
     WHERE id = :id AND ended_at IS NULL AND (deadline_at <= now() OR CAST(:now AS boolean))
    RETURNING {_TURN}
""")
USED = text("""
    UPDATE chat_session SET last_at = now(), expires_at = now() + idle
     WHERE id = (SELECT session_id FROM chat_turn WHERE id = :id)
""")
PAGE = text(f"""
    SELECT {_TURN} FROM chat_turn
     WHERE session_id = :id AND (CAST(:before AS integer) IS NULL OR number < :before)
     ORDER BY number DESC LIMIT :limit
""")
DELETE = text(
    "DELETE FROM chat_session WHERE id = :id AND tenant = :tenant AND owner = :owner RETURNING expires_at > now()"
)
TIDY = text("DELETE FROM chat_session WHERE id = :id AND expires_at <= now()")
LEFT = text("SELECT expires_at - now() FROM chat_session WHERE id = :id")

# ruff: noqa: S608 - only this module's own constants are put into its statements
"""The statements of the ledger.

Each one that changes a row asks that it has not ended, and those of a run that no later run has begun.
Times are compared by the database's clock alone.
"""

from collections.abc import Collection

from sqlalchemy import TextClause, text

_COLUMNS = """
    id, tenant, asker, reads, request::text AS request, namespace, priority, status, progress, stage, runs, seen,
    created_at, ended_at, clock_timestamp() AS read_at, error_code, error, cancelled_by,
    replay::text AS replay,
    CASE WHEN held_at IS NOT NULL THEN held_before(priority, turn, held_at, id) + 1 END AS queue_position
"""
_FEEDBACK = """
    (SELECT jsonb_build_object(
        'given', count(*),
        'helpful', count(*) FILTER (WHERE helpful), 'not_helpful', count(*) FILTER (WHERE NOT helpful),
        'correct_cause', count(*) FILTER (WHERE correct_cause),
        'wrong_cause', count(*) FILTER (WHERE NOT correct_cause))
       FROM investigation_feedback AS said WHERE said.investigation = investigation.id)::text AS feedback
"""
_APPROVALS = """
    (SELECT jsonb_agg(jsonb_build_object(
        'id', id, 'toolset', toolset, 'version', version, 'tool', tool, 'arguments', arguments, 'why', why,
        'state', CASE WHEN state = 'pending' AND expires_at <= clock_timestamp() THEN 'expired' ELSE state END,
        'asked_at', asked_at, 'expires_at', expires_at, 'decided_by', decided_by, 'decided_at', decided_at,
        'comment', comment, 'outcome', outcome) ORDER BY asked_at, id)
       FROM tool_approval AS wanted WHERE wanted.investigation = investigation.id) AS approvals
"""
_INTERIM = "CASE WHEN ended_at IS NULL THEN interim END"
_ALL = f"{_COLUMNS}, verdict::text AS verdict, ({_INTERIM})::text AS interim, original::text AS original, {_FEEDBACK}, {_APPROVALS}"
_LINE = f"""{_COLUMNS}, jsonb_set(verdict, '{{results,evidence}}', '[]')::text AS verdict,
    jsonb_set({_INTERIM}, '{{results,evidence}}', '[]')::text AS interim, NULL AS original, NULL AS feedback,
    NULL AS approvals"""
"""A list needs no evidence, which is nearly all of a verdict's size."""

# In the same statement, since a storm opens hundreds; it does not see its own row. Beyond so many it makes no difference.
_NOT_TRIAGED = """
    (SELECT count(*) FROM (
        SELECT FROM investigation AS one
         WHERE one.tenant = investigation.tenant AND one.priority = investigation.priority
           AND one.ended_at IS NULL AND one.interim IS NULL
         LIMIT 10000) AS few) AS not_triaged
"""
# In the same statement too. Beyond the limit the transaction is undone, and its row with it; those that others record at
# the same moment are not seen, so a limit is overshot by as many transactions as there are at once, which are few.
_OPEN_OF_CALLER = """
    (SELECT count(*) FROM (
        SELECT FROM investigation AS one
         WHERE one.tenant = investigation.tenant AND one.asker = investigation.asker AND one.ended_at IS NULL
         LIMIT CAST(:most_open AS bigint)) AS few) AS open_of_caller
"""
OPEN = text(f"""
    INSERT INTO investigation
        (id, tenant, asker, reads, idempotency_key, shared_key, digest, request, namespace, priority, seen,
         deadline_at)
    VALUES (:id, :tenant, :asker, :reads, :key, :shared_key, :digest, CAST(:request AS jsonb), :namespace,
            :priority, :seen, now() + :life)
    ON CONFLICT DO NOTHING
    RETURNING {_ALL}, {_NOT_TRIAGED}, {_OPEN_OF_CALLER}
""")
OPEN_REPLAY = text(f"""
    INSERT INTO investigation
        (id, tenant, asker, reads, idempotency_key, digest, request, namespace, priority, seen, deadline_at,
         replay, frozen, original)
    VALUES (:id, :tenant, :asker, :reads, :key, :digest, CAST(:request AS jsonb), :namespace, :priority,
            :seen, now() + :life, CAST(:replay AS jsonb), CAST(:frozen AS jsonb), CAST(:original AS jsonb))
    ON CONFLICT DO NOTHING
    RETURNING {_ALL}, {_NOT_TRIAGED}, {_OPEN_OF_CALLER}
""")
BY_KEY = text(f"""
    SELECT digest, {_ALL} FROM investigation
     WHERE tenant = :tenant AND asker = :asker AND idempotency_key = :key
""")
SHARED = text(f"SELECT {_ALL} FROM investigation WHERE shared_key = :shared_key AND ended_at IS NULL")
GET = text(f"SELECT {_ALL} FROM investigation WHERE id = :id AND tenant = :tenant")
_ONLY = {
    "status": "status = :status",
    "alert_name": "md5(request->>'alert_name') = md5(:alert_name) AND request->>'alert_name' = :alert_name",
    "namespace": "namespace = :namespace",
    "priority": "priority = :priority",
    "engine": "engine_of(status, verdict, interim) = :engine",
    "since": "created_at >= :since",
    "until": "created_at < :until",
    "id": "(created_at, id) < (:created_at, :id)",
}


def page(given: Collection[str]) -> TextClause:
    """One page, newest first, with the conditions for which values are given; each has its index."""
    conditions = "".join(f" AND {condition}" for name, condition in _ONLY.items() if name in given)
    return text(f"""
        SELECT {_LINE} FROM investigation WHERE tenant = :tenant{conditions}
         ORDER BY created_at DESC, id DESC LIMIT :limit
    """)


ENDED = text(f"SELECT {_ALL} FROM investigation WHERE id = ANY(:ids) AND ended_at IS NOT NULL")
_CLAIMED = """
    id, fence, tenant, asker, reads, request::text AS request, priority, seen,
    deadline_at - now() AS time_left, now() - created_at AS age,
    replay::text AS replay, frozen::text AS frozen
"""
CLAIM = text(f"""
    UPDATE investigation
       SET status = 'running', runs = runs + 1, fence = fence + 1, stage = coalesce(nullif(stage, ''), 'begun')
     WHERE id = :id AND ended_at IS NULL AND interim IS NULL
    RETURNING {_CLAIMED}
""")
HOLD = text("""
    UPDATE investigation
       SET interim = CAST(:interim AS jsonb), held_at = clock_timestamp(), seen = :seen,
           evidence_key = :evidence_key,
           progress = greatest(progress, 40), stage = 'held: waiting for a place at the model'
     WHERE id = :id AND fence = :fence AND ended_at IS NULL AND interim IS NULL
""")
REMEMBERED = text("""
    SELECT id, verdict::text AS verdict FROM investigation
     WHERE tenant = :tenant AND evidence_key = :evidence_key AND status = 'completed'
       AND ended_at > now() - CAST(:not_older_than AS interval)
       AND verdict->>'engine' = :engine AND verdict->>'degraded_reason' IS NULL
     ORDER BY ended_at DESC LIMIT 1
""")
_AT_THE_MODEL = (
    "runs = runs + 1, fence = fence + 1, held_at = NULL, token = :token, stage = 'asking the model'"
)
TAKE = text(f"""
    UPDATE investigation SET {_AT_THE_MODEL}
     WHERE id = :id AND ended_at IS NULL AND held_at IS NOT NULL
    RETURNING {_CLAIMED}, interim::text AS interim
""")
# A job takes up again what it had taken before. One that was taken without a token was so by an earlier release, by the
# job that bears its name.
TAKE_AGAIN = text(f"""
    UPDATE investigation SET {_AT_THE_MODEL}
     WHERE id = (SELECT id FROM investigation
                  WHERE ended_at IS NULL AND held_at IS NULL AND interim IS NOT NULL
                    AND (token = :token OR (token IS NULL AND id = :named))
                  ORDER BY token LIMIT 1)
       AND ended_at IS NULL
    RETURNING {_CLAIMED}, interim::text AS interim
""")
NOTE = text("""
    UPDATE investigation SET progress = greatest(progress, :progress), stage = :stage
     WHERE id = :id AND fence = :fence AND ended_at IS NULL
""")
TELL = text("""
    WITH next AS (
        UPDATE investigation SET events = events + 1
         WHERE id = :id AND ended_at IS NULL AND events < 1000 RETURNING id, events)
    INSERT INTO investigation_event (investigation, seq, name, data)
    SELECT id, events, :name, CAST(:data AS jsonb) FROM next
""")
TROUBLE = text("""
    UPDATE investigation SET stage = 'waiting: ' || :trouble, trouble_code = :code, trouble = :trouble
     WHERE id = :id AND fence = :fence AND ended_at IS NULL
""")
CONCLUDE = text("""
    UPDATE investigation
       SET status = 'completed', progress = 100, stage = 'ended', verdict = CAST(:verdict AS jsonb),
           interim = coalesce(CAST(:interim AS jsonb), interim),
           seen = :seen, held_at = NULL, ended_at = now()
     WHERE id = :id AND fence = :fence AND ended_at IS NULL
""")
GIVE_UP = text("""
    UPDATE investigation
       SET status = 'failed', error_code = :code, error = :error, held_at = NULL, ended_at = now()
     WHERE id = :id AND fence = :fence AND ended_at IS NULL
""")
EXPIRE = text(f"""
    UPDATE investigation
       SET status = CASE WHEN interim IS NULL THEN 'failed' ELSE 'completed' END,
           progress = CASE WHEN interim IS NULL THEN progress ELSE 100 END,
           verdict = interim || jsonb_build_object(
               'degraded_reason', 'model-timeout',
               'degraded_detail', CASE WHEN held_at IS NULL
                   THEN 'no conclusion by the deadline; last stage: ' || stage
                   ELSE 'no place at the model was free by the deadline' END),
           held_at = NULL, ended_at = now(),
           error_code = CASE WHEN interim IS NULL THEN coalesce(trouble_code, 'deadline-passed') END,
           error = CASE WHEN interim IS NULL THEN
               concat('No result within ', round(extract(epoch FROM deadline_at - created_at))::bigint,
                      ' s. ', coalesce('Last trouble: ' || trouble, 'Last stage: ' || nullif(stage, ''),
                                       'No worker took it up'), '.') END
     WHERE id = :id AND ended_at IS NULL AND deadline_at <= now()
    RETURNING {_ALL}
""")
CANCEL = text(f"""
    UPDATE investigation
       SET status = 'cancelled', cancelled_by = :by, fence = fence + 1, stage = 'cancelled', held_at = NULL,
           ended_at = now()
     WHERE id = :id AND tenant = :tenant AND ended_at IS NULL
    RETURNING {_ALL}
""")
LOST = text("""
    SELECT run.id FROM unnest(CAST(:ids AS text[]), CAST(:fences AS integer[])) AS run (id, fence)
      LEFT JOIN investigation AS one USING (id)
     WHERE one.id IS NULL OR one.ended_at IS NOT NULL OR one.fence <> run.fence
""")
FORGET = text("""
    DELETE FROM investigation WHERE id IN (
        SELECT id FROM investigation WHERE ended_at < now() - CAST(:older_than AS interval)
         ORDER BY ended_at LIMIT :at_most FOR UPDATE SKIP LOCKED)
""")

REPORT = text("""
    INSERT INTO engine (worker, model, state, detail, running, max_running, last_outcome, last_at, reported_at)
    VALUES (:worker, :model, :state, :detail, :running, :max_running, :last_outcome, :last_at, now())
    ON CONFLICT (worker) DO UPDATE
       SET model = excluded.model, state = excluded.state, detail = excluded.detail,
           running = excluded.running, max_running = excluded.max_running,
           last_outcome = excluded.last_outcome, last_at = excluded.last_at, reported_at = now()
""")
REPORTS = text("""
    SELECT model, state, detail, running, max_running, last_outcome, now() - last_at AS last_age
      FROM engine WHERE reported_at > now() - CAST(:fresh AS interval) ORDER BY worker LIMIT 100
""")
WITHDRAW = text("DELETE FROM engine WHERE worker = :worker OR reported_at < now() - interval '10 minutes'")
HELD = text("SELECT count(*) FROM investigation WHERE held_at IS NOT NULL")
HELD_BY_PRIORITY = text("""
    SELECT priority, count(*) AS held FROM investigation WHERE held_at IS NOT NULL GROUP BY priority
""")

# ruff: noqa: S608 - only this module's own constants are put into its statements
"""The statements of outbox, dispatch and archive. Times are compared by the database's clock alone.

Locks are taken in one order, so that nobody waits for anybody in turn: deliveries by id, then the channel,
then notifications by id. They are NO KEY locks, because a new row in `told` holds the key of its delivery.
"""

from __future__ import annotations

from sqlalchemy import text

# --- reading

_DELIVERIES = """
    coalesce((
        SELECT jsonb_agg(jsonb_build_object(
                   'effect_id', d.effect_id, 'channel', d.channel, 'recipient', d.recipient,
                   'state', d.state, 'attempts', d.attempts, 'next_attempt_at', d.next_attempt_at,
                   'sent_at', d.sent_at, 'reason', d.reason, 'error', d.error,
                   'possible_duplicate', d.possible_duplicate,
                   'told_by', nullif(d.notification_id, n.id)) ORDER BY t.position)
          FROM told t JOIN delivery d USING (effect_id) WHERE t.notification_id = n.id), '[]'::jsonb)
    AS deliveries
"""
_NOTIFICATION = f"""
    SELECT n.id, n.status, n.reason, n.subject, n.body, n.priority, n.transition, n.round, n.incident_id,
           n.episode_id, n.links, n.redacted, n.created_at, {_DELIVERIES}
      FROM notification n
"""
GET = text(f"{_NOTIFICATION} WHERE n.id = :id AND n.tenant = :tenant")
FILTERS = {
    "status": "n.status = :status",
    "incident_id": "n.incident_id = :incident_id",
    "episode_id": "n.episode_id = :episode_id",
    "channel": """EXISTS (SELECT 1 FROM told t JOIN delivery d USING (effect_id)
                           WHERE t.notification_id = n.id AND d.channel = :channel)""",
    "before": "(n.created_at, n.id) < (:created_at, :id)",
}
PAGE = f"{_NOTIFICATION} WHERE n.tenant = :tenant AND {{conditions}} ORDER BY n.created_at DESC, n.id DESC LIMIT :limit"
KNOWN = text("SELECT 1 FROM notification WHERE id = :id AND tenant = :tenant")
ATTEMPTS = text("""
    SELECT a.effect_id, d.channel, d.recipient, a.number, a.started_at, a.ended_at, a.outcome, a.reason, a.detail,
           a.asked_by
      FROM told t JOIN delivery d USING (effect_id) JOIN attempt a USING (effect_id)
     WHERE t.notification_id = :id ORDER BY a.started_at, t.position, a.number
""")
CHANNEL = text("""
    SELECT failures, error, not_before > now() AS paused FROM channel WHERE name = :channel
""")
WAITING = text("""
    SELECT channel, count(*) AS waiting FROM delivery WHERE state IN ('pending', 'retrying') GROUP BY channel
""")
FORGET = text("""
    DELETE FROM notification WHERE id IN (
        SELECT n.id FROM notification n
         WHERE n.created_at < now() - CAST(:older_than AS interval) AND n.status NOT IN ('pending', 'sending')
           AND NOT EXISTS (SELECT 1 FROM delivery d JOIN told t USING (effect_id)
                            WHERE d.notification_id = n.id AND t.notification_id <> n.id)
         ORDER BY n.created_at LIMIT :at_most)
""")

# --- taking a request

OPEN = text("""
    INSERT INTO notification (id, tenant, sender, key, digest, status, reason, subject, body, priority,
                              transition, round, incident_id, episode_id, links, redacted)
    VALUES (:id, :tenant, :sender, :key, :digest, 'pending', :reason, :subject, :body, :priority,
            :transition, :round, :incident_id, :episode_id, CAST(:links AS jsonb), :redacted)
    ON CONFLICT (tenant, sender, key) WHERE key IS NOT NULL DO NOTHING
    RETURNING id
""")
BY_KEY = text("""
    SELECT digest, answer FROM notification WHERE tenant = :tenant AND sender = :sender AND key = :key
""")
PLAN = text("""
    INSERT INTO delivery (effect_id, notification_id, channel, recipient, priority, state, reason, error,
                          next_attempt_at)
    SELECT effect_id, :id, channel, recipient, :priority,
           CASE WHEN error IS NULL THEN 'pending' ELSE 'failed' END,
           CASE WHEN error IS NULL THEN 'accepted' ELSE 'refused' END, error,
           CASE WHEN error IS NULL THEN now() END
      FROM unnest(CAST(:effects AS text[]), CAST(:channels AS text[]), CAST(:recipients AS text[]),
                  CAST(:errors AS text[])) AS planned (effect_id, channel, recipient, error)
     ORDER BY effect_id
    ON CONFLICT DO NOTHING
""")
TELL = text("""
    INSERT INTO told (notification_id, effect_id, position)
    SELECT :id, effect_id, position
      FROM unnest(CAST(:effects AS text[])) WITH ORDINALITY AS planned (effect_id, position)
""")
HOLD = text("""
    SELECT effect_id, channel, state FROM delivery WHERE effect_id = ANY(:effects) ORDER BY effect_id FOR NO KEY UPDATE
""")
ANSWER = text("UPDATE notification SET answer = :answer WHERE id = :id")

# --- delivering

_STANDING = """
    d.effect_id, d.channel, d.priority, d.state, d.reason, d.attempts, d.tried, d.next_attempt_at, d.sent_at,
    d.error, d.possible_duplicate, d.asked_by, clock_timestamp() AS now
"""
DUE = text(f"""
    SELECT {_STANDING}, d.recipient, n.id AS notification_id, n.tenant, n.subject, n.body, n.transition,
           n.incident_id, n.episode_id, n.links, n.created_at
      FROM delivery d JOIN notification n ON n.id = d.notification_id
     WHERE d.channel = :channel AND d.state IN ('pending', 'retrying') AND d.next_attempt_at <= now()
     ORDER BY d.priority, d.next_attempt_at LIMIT 1
       FOR NO KEY UPDATE OF d SKIP LOCKED
""")
PACE = text("""
    UPDATE channel SET not_before = now() + CAST(:interval AS interval)
     WHERE name = :channel AND not_before <= now()
    RETURNING name
""")
NOT_BEFORE = text("SELECT not_before - now() AS left FROM channel WHERE name = :channel")
PAUSE = text("""
    UPDATE channel SET not_before = greatest(not_before, now() + CAST(:pause AS interval)) WHERE name = :channel
""")
STANDING = text(f"SELECT {_STANDING} FROM delivery d WHERE d.effect_id = :effect FOR NO KEY UPDATE")
STORE = text("""
    UPDATE delivery SET state = :state, reason = :reason, attempts = :attempts, tried = :tried,
           next_attempt_at = :next_attempt_at, sent_at = :sent_at, error = :error,
           possible_duplicate = :possible_duplicate, holder = :holder, asked_by = :asked_by
     WHERE effect_id = :effect
""")
BEGUN = text("""
    INSERT INTO attempt (effect_id, number, started_at, asked_by) VALUES (:effect, :number, :now, :asked_by)
""")
ENDED = text("""
    UPDATE attempt SET ended_at = clock_timestamp(), outcome = :outcome, reason = :reason, detail = :detail
     WHERE effect_id = :effect AND number = :number
""")
# Left behind by a run of the same job that died, or by a job that is no more.
LEFT = text(f"""
    SELECT {_STANDING} FROM delivery d
     WHERE d.channel = :channel AND d.state = 'sending'
       AND (d.holder = :holder OR NOT EXISTS (
            SELECT 1 FROM procrastinate_jobs j WHERE j.id = d.holder AND j.status IN ('todo', 'doing')))
     ORDER BY d.effect_id FOR NO KEY UPDATE SKIP LOCKED
""")
WENT_WELL = text("UPDATE channel SET failures = 0, error = NULL WHERE name = :channel AND failures > 0")
WENT_WRONG = text("""
    UPDATE channel SET failures = failures + 1, failed_at = now(), error = :error WHERE name = :channel
""")
RESENDABLE = text(f"""
    SELECT {_STANDING} FROM told t JOIN delivery d USING (effect_id)
     WHERE t.notification_id = :id AND d.state IN ('failed', 'unknown')
     ORDER BY d.effect_id FOR NO KEY UPDATE OF d
""")

# --- what deliveries come to

CONCERNED = text("""
    SELECT id FROM notification
     WHERE id IN (SELECT notification_id FROM told WHERE effect_id = ANY(:effects)) ORDER BY id FOR NO KEY UPDATE
""")
STATES = text("""
    SELECT n.id, array_agg(d.state) FILTER (WHERE d.state IS NOT NULL) AS states
      FROM notification n LEFT JOIN told t ON t.notification_id = n.id LEFT JOIN delivery d USING (effect_id)
     WHERE n.id = ANY(:ids) GROUP BY n.id
""")
STATUS = text("UPDATE notification SET status = :status WHERE id = :id AND status <> :status")

"""Inbox, episodes, incidents, what was asked and told about them, and the timeline; the job queue beside.

The inbox is short: a row lives from its commit to its drain. `series` holds one row per alert, which is
what drains lock, so that two of them never merge the same alert at once. Unique keys on `timeline`,
`inquiry` and `telling` make every recorded effect happen once, however often a step runs.
"""

from __future__ import annotations

from alembic import op

from libs.jobs import schema

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

# Queue-like: emptied all the time, so cleaned by the number of dead rows rather than by a share of a
# table that is nearly empty.
_QUEUE = """
WITH (fillfactor = 80, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000,
      autovacuum_vacuum_insert_scale_factor = 0, autovacuum_vacuum_insert_threshold = 50000)
"""

_TABLES = (
    f"""
    CREATE TABLE inbox (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        idem bytea NOT NULL UNIQUE,
        tenant text NOT NULL,
        sender text NOT NULL,
        body bytea NOT NULL,
        copies integer NOT NULL DEFAULT 1,
        received_at timestamptz NOT NULL DEFAULT now(),
        last_seen timestamptz NOT NULL DEFAULT now()
    ) {_QUEUE}
    """,
    """
    CREATE TABLE set_aside (
        id bigint PRIMARY KEY,
        idem bytea NOT NULL,
        tenant text NOT NULL,
        sender text NOT NULL,
        body bytea NOT NULL,
        copies integer NOT NULL,
        received_at timestamptz NOT NULL,
        last_seen timestamptz NOT NULL,
        reason text NOT NULL
    )
    """,
    "COMMENT ON TABLE set_aside IS 'deliveries that could not be drained: for a person to read'",
    """
    CREATE TABLE series (
        tenant text NOT NULL,
        fingerprint text NOT NULL,
        newest timestamptz NOT NULL,
        PRIMARY KEY (tenant, fingerprint)
    ) WITH (fillfactor = 80)
    """,
    """
    CREATE TABLE incident (
        id text PRIMARY KEY,
        tenant text NOT NULL,
        key text NOT NULL,
        target jsonb,
        provisional boolean NOT NULL,
        phase text NOT NULL,
        priority text NOT NULL,
        attempts integer NOT NULL DEFAULT 0,
        investigation jsonb,
        no_cause_reason text,
        ended_at timestamptz,
        opened_at timestamptz NOT NULL,
        closed_at timestamptz,
        closings integer NOT NULL DEFAULT 0,
        merged_into text
    ) WITH (fillfactor = 80)
    """,
    "COMMENT ON COLUMN incident.ended_at IS 'when the last investigation ended'",
    "CREATE UNIQUE INDEX incident_open ON incident (tenant, key) WHERE closed_at IS NULL",
    "CREATE INDEX incident_closed ON incident (tenant, key, closed_at) WHERE closed_at IS NOT NULL",
    """
    CREATE TABLE episode (
        id text PRIMARY KEY,
        tenant text NOT NULL,
        fingerprint text NOT NULL,
        starts_at timestamptz NOT NULL,
        state text NOT NULL,
        resolved boolean NOT NULL,
        ends_at timestamptz,
        ended_at timestamptz,
        first_seen timestamptz NOT NULL,
        last_seen timestamptz NOT NULL,
        received integer NOT NULL,
        receiver text NOT NULL,
        labels jsonb NOT NULL,
        annotations jsonb NOT NULL,
        generator_url text NOT NULL,
        alertname text NOT NULL,
        namespace text,
        severity text NOT NULL,
        environment text NOT NULL,
        priority text NOT NULL,
        target jsonb,
        named text,
        about text,
        incident_id text REFERENCES incident (id)
    ) WITH (fillfactor = 80)
    """,
    "COMMENT ON COLUMN episode.named IS 'the target, as KIND/NAMESPACE/NAME'",
    "COMMENT ON COLUMN episode.about IS 'owner of the target, as KIND/NAMESPACE/NAME'",
    "CREATE INDEX episode_firing ON episode (tenant, fingerprint) WHERE state = 'firing'",
    "CREATE INDEX episode_silent ON episode (last_seen) WHERE state = 'firing'",
    "CREATE INDEX episode_ending ON episode (ends_at) WHERE state = 'firing' AND ends_at IS NOT NULL",
    "CREATE INDEX episode_page ON episode (tenant, starts_at DESC, id DESC)",
    "CREATE INDEX episode_page_namespace ON episode (tenant, namespace, starts_at DESC, id DESC)",
    "CREATE INDEX episode_page_alertname ON episode (tenant, alertname, starts_at DESC, id DESC)",
    "CREATE INDEX episode_incident ON episode (incident_id) WHERE incident_id IS NOT NULL",
    "CREATE INDEX episode_old ON episode (ended_at) WHERE state <> 'firing'",
    """
    CREATE TABLE timeline (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        subject text NOT NULL,
        key text NOT NULL,
        at timestamptz NOT NULL,
        event text NOT NULL,
        detail text NOT NULL,
        decision jsonb,
        UNIQUE (subject, key)
    )
    """,
    "COMMENT ON COLUMN timeline.subject IS 'id of an episode or of an incident'",
    "COMMENT ON COLUMN timeline.key IS 'names the fact within its subject, so that it is written once'",
    """
    CREATE TABLE inquiry (
        incident_id text NOT NULL REFERENCES incident (id) ON DELETE CASCADE,
        attempt integer NOT NULL,
        request text,
        state text NOT NULL,
        investigation_id text,
        asked_at timestamptz NOT NULL,
        PRIMARY KEY (incident_id, attempt)
    )
    """,
    """
    CREATE TABLE telling (
        incident_id text NOT NULL REFERENCES incident (id) ON DELETE CASCADE,
        transition text NOT NULL,
        round integer NOT NULL,
        request text,
        state text NOT NULL,
        notification_id text,
        decided_at timestamptz NOT NULL,
        PRIMARY KEY (incident_id, transition, round)
    )
    """,
    "COMMENT ON COLUMN inquiry.request IS 'composed before the first call and kept word for word: a retry says the same'",
    "COMMENT ON COLUMN telling.request IS 'composed before the first call and kept word for word: a retry says the same'",
)


def upgrade() -> None:
    """Create everything."""
    for statement in _TABLES:
        op.execute(statement)
    schema.install(op)


def downgrade() -> None:
    """There is nothing below the first revision."""
    raise RuntimeError("0001 is the first revision; drop the schema instead")

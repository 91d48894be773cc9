"""Notifications, deliveries, attempts, and the job queue beside them.

`delivery.effect_id` is what keeps a fact from being told twice. A second notification of the same fact
shares the first one's deliveries through `told`.
"""

from __future__ import annotations

from alembic import op

from libs.jobs import schema

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_STATEMENTS = (
    """
    CREATE TABLE notification (
        id text PRIMARY KEY,
        tenant text NOT NULL,
        sender text NOT NULL,
        key text,
        digest bytea NOT NULL,
        answer text,
        status text NOT NULL,
        reason text,
        subject text NOT NULL,
        body text NOT NULL,
        priority text NOT NULL,
        transition text NOT NULL,
        round integer NOT NULL,
        incident_id text,
        episode_id text,
        links jsonb NOT NULL,
        redacted text[] NOT NULL,
        created_at timestamptz NOT NULL DEFAULT now(),
        CHECK (status IN ('pending', 'sending', 'sent', 'partially_sent', 'failed'))
    ) WITH (fillfactor = 80)
    """,
    "COMMENT ON COLUMN notification.answer IS 'what the request was answered; a repeat gets the same'",
    "CREATE UNIQUE INDEX notification_key ON notification (tenant, sender, key) WHERE key IS NOT NULL",
    "CREATE INDEX notification_page ON notification (tenant, created_at DESC, id DESC)",
    "CREATE INDEX notification_status ON notification (tenant, status, created_at DESC, id DESC)",
    "CREATE INDEX notification_incident ON notification (tenant, incident_id, created_at DESC, id DESC)",
    "CREATE INDEX notification_episode ON notification (tenant, episode_id, created_at DESC, id DESC)",
    "CREATE INDEX notification_old ON notification (created_at)",
    """
    CREATE TABLE delivery (
        effect_id text PRIMARY KEY,
        notification_id text NOT NULL REFERENCES notification (id) ON DELETE CASCADE,
        channel text NOT NULL,
        recipient text NOT NULL,
        priority text NOT NULL,
        state text NOT NULL,
        reason text NOT NULL,
        attempts integer NOT NULL DEFAULT 0,
        tried integer NOT NULL DEFAULT 0,
        next_attempt_at timestamptz,
        sent_at timestamptz,
        error text,
        possible_duplicate boolean NOT NULL DEFAULT false,
        holder bigint,
        asked_by text,
        CHECK (state IN ('pending', 'sending', 'sent', 'retrying', 'failed', 'unknown')),
        CHECK ((next_attempt_at IS NOT NULL) = (state IN ('pending', 'retrying'))),
        CHECK ((sent_at IS NOT NULL) = (state = 'sent')),
        CHECK ((holder IS NOT NULL) = (state = 'sending'))
    ) WITH (fillfactor = 80)
    """,
    "COMMENT ON COLUMN delivery.notification_id IS 'whose words are sent'",
    "COMMENT ON COLUMN delivery.holder IS 'job that is calling the channel'",
    "COMMENT ON COLUMN delivery.asked_by IS 'who had it sent again, for the record of the next attempt'",
    """
    CREATE INDEX delivery_due ON delivery (channel, priority, next_attempt_at)
        WHERE state IN ('pending', 'retrying')
    """,
    "CREATE INDEX delivery_sending ON delivery (channel) WHERE state = 'sending'",
    "CREATE INDEX delivery_words ON delivery (notification_id)",
    """
    CREATE TABLE told (
        notification_id text NOT NULL REFERENCES notification (id) ON DELETE CASCADE,
        effect_id text NOT NULL REFERENCES delivery (effect_id) ON DELETE CASCADE,
        position integer NOT NULL,
        PRIMARY KEY (notification_id, effect_id)
    )
    """,
    "CREATE INDEX told_effect ON told (effect_id)",
    """
    CREATE TABLE attempt (
        effect_id text NOT NULL REFERENCES delivery (effect_id) ON DELETE CASCADE,
        number integer NOT NULL,
        started_at timestamptz NOT NULL,
        ended_at timestamptz,
        outcome text,
        reason text,
        detail text,
        asked_by text,
        PRIMARY KEY (effect_id, number)
    )
    """,
    """
    CREATE TABLE channel (
        name text PRIMARY KEY,
        not_before timestamptz NOT NULL DEFAULT to_timestamp(0),
        failures integer NOT NULL DEFAULT 0,
        failed_at timestamptz,
        error text
    ) WITH (fillfactor = 50)
    """,
    "COMMENT ON COLUMN channel.not_before IS 'nothing is sent before: the pace, or a pause it asked for'",
    "COMMENT ON COLUMN channel.failures IS 'of the channel, in a row'",
    "INSERT INTO channel (name) VALUES ('console'), ('email'), ('slack')",
)


def upgrade() -> None:
    """Create everything."""
    for statement in _STATEMENTS:
        op.execute(statement)
    schema.install(op)


def downgrade() -> None:
    """There is nothing below the first revision."""
    raise RuntimeError("0001 is the first revision; drop the schema instead")

"""Chat: sessions, and their questions with what was answered."""

from __future__ import annotations

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_STATEMENTS = (
    """
    CREATE TABLE chat_session (
        id text PRIMARY KEY,
        tenant text NOT NULL,
        owner text NOT NULL,
        investigation_id text,
        about jsonb NOT NULL,
        turns integer NOT NULL DEFAULT 0,
        folded integer NOT NULL DEFAULT 0,
        created_at timestamptz NOT NULL DEFAULT now(),
        last_at timestamptz NOT NULL DEFAULT now(),
        idle interval NOT NULL,
        expires_at timestamptz NOT NULL
    ) WITH (fillfactor = 80)
    """,
    "COMMENT ON COLUMN chat_session.about IS 'the object and namespace it is about, so that a question may say it'",
    "COMMENT ON COLUMN chat_session.folded IS 'questions that are no longer kept'",
    "CREATE INDEX chat_session_owner ON chat_session (tenant, owner)",
    "CREATE INDEX chat_session_expires ON chat_session (expires_at)",
    """
    CREATE TABLE chat_turn (
        id text PRIMARY KEY,
        session_id text NOT NULL REFERENCES chat_session ON DELETE CASCADE,
        number integer NOT NULL,
        tenant text NOT NULL,
        owner text NOT NULL,
        reads text[] NOT NULL,
        message text NOT NULL,
        include_context boolean NOT NULL,
        include_metrics boolean NOT NULL,
        fence integer NOT NULL DEFAULT 0,
        interim jsonb,
        verdict jsonb,
        events jsonb NOT NULL DEFAULT '[]',
        reply jsonb,
        error_code text,
        error text,
        asked_at timestamptz NOT NULL DEFAULT now(),
        deadline_at timestamptz NOT NULL,
        ended_at timestamptz,
        UNIQUE (session_id, number),
        CHECK ((ended_at IS NOT NULL) = (reply IS NOT NULL OR error IS NOT NULL)),
        CHECK (ended_at IS NULL OR (interim IS NULL AND verdict IS NULL))
    ) WITH (fillfactor = 80)
    """,
    "COMMENT ON COLUMN chat_turn.verdict IS 'the findings a model begins with; only until the turn ends'",
    "COMMENT ON COLUMN chat_turn.fence IS 'number of the run that has the say'",
    "CREATE UNIQUE INDEX chat_turn_open ON chat_turn (session_id) WHERE ended_at IS NULL",
    "CREATE INDEX chat_turn_of_owner ON chat_turn (tenant, owner) WHERE ended_at IS NULL",
    """
    CREATE TRIGGER ended_never_changes BEFORE UPDATE ON chat_turn
        FOR EACH ROW WHEN (OLD.ended_at IS NOT NULL) EXECUTE FUNCTION ended_never_changes()
    """,
)


def upgrade() -> None:
    """Add chat."""
    for statement in _STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    """Sessions end; they live for half an hour anyway."""
    op.execute("DROP TABLE chat_turn")
    op.execute("DROP TABLE chat_session")

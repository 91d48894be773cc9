"""Custom toolsets: what their servers said at the first look, and changes that a person is asked about.

An approval is an audit record: who agreed to exactly what, when, and what came of it. Its events are written by a
trigger, as those of its investigation (0003). Everything that changes one locks its investigation first.
"""

from __future__ import annotations

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

_STATEMENTS = (
    """
    CREATE TABLE toolset_pin (
        toolset text NOT NULL,
        version text NOT NULL,
        tool text NOT NULL,
        hash text,
        offer jsonb,
        changed boolean NOT NULL DEFAULT false,
        fault text NOT NULL,
        looked_at timestamptz NOT NULL DEFAULT now(),
        PRIMARY KEY (toolset, version, tool)
    )
    """,
    "COMMENT ON TABLE toolset_pin IS 'what MCP servers said of their tools at the first look, by version of the document'",
    "COMMENT ON COLUMN toolset_pin.changed IS 'it has said something else since: withdrawn for this version'",
    "CREATE INDEX toolset_pin_old ON toolset_pin (looked_at)",
    """
    CREATE TABLE tool_approval (
        id text PRIMARY KEY,
        investigation text NOT NULL REFERENCES investigation (id) ON DELETE CASCADE,
        key text NOT NULL,
        toolset text NOT NULL,
        version text NOT NULL,
        tool text NOT NULL,
        arguments jsonb NOT NULL,
        why text NOT NULL,
        state text NOT NULL DEFAULT 'pending',
        asked_at timestamptz NOT NULL DEFAULT clock_timestamp(),
        expires_at timestamptz NOT NULL,
        decided_by text,
        decided_at timestamptz,
        comment text,
        fence integer,
        executed_at timestamptz,
        ended_at timestamptz,
        outcome text,
        answer jsonb,
        UNIQUE (investigation, key),
        CHECK (state IN ('pending', 'approved', 'denied', 'expired', 'lapsed', 'executing', 'done', 'failed', 'unknown')),
        CHECK ((decided_by IS NOT NULL) = (state NOT IN ('pending', 'expired'))),
        CHECK ((executed_at IS NOT NULL) = (state IN ('executing', 'done', 'failed', 'unknown')))
    )
    """,
    "COMMENT ON COLUMN tool_approval.key IS 'equal for the same change: toolset, document, tool, arguments'",
    "COMMENT ON COLUMN tool_approval.fence IS 'number of the run that began to do it'",
    "COMMENT ON COLUMN tool_approval.answer IS 'what the model was shown of the answer, for a run that is taken up again'",
    """
    CREATE FUNCTION tell_approval() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE
        number integer;
        name text;
        told jsonb;
    BEGIN
        IF TG_OP = 'INSERT' THEN
            name := 'approval_required';
            told := jsonb_build_object('approval_id', NEW.id, 'toolset', NEW.toolset, 'tool', NEW.tool,
                'arguments', NEW.arguments, 'why', NEW.why, 'expires_at', NEW.expires_at);
        ELSIF NEW.state = OLD.state OR NEW.state = 'executing' THEN
            RETURN NULL;
        ELSE
            name := 'approval';
            told := jsonb_strip_nulls(jsonb_build_object('approval_id', NEW.id, 'state', NEW.state,
                'by', CASE WHEN NEW.state IN ('approved', 'denied') THEN NEW.decided_by END,
                'outcome', NEW.outcome));
        END IF;
        UPDATE investigation SET events = events + 1 WHERE id = NEW.investigation AND ended_at IS NULL
        RETURNING events INTO number;
        IF number IS NOT NULL THEN
            INSERT INTO investigation_event (investigation, seq, name, data)
            VALUES (NEW.investigation, number, name, told);
        END IF;
        RETURN NULL;
    END $$
    """,
    """
    CREATE TRIGGER tell_approval AFTER INSERT OR UPDATE ON tool_approval
        FOR EACH ROW EXECUTE FUNCTION tell_approval()
    """,
    """
    CREATE FUNCTION approvals_end_with_the_run() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        UPDATE tool_approval
           SET state = CASE state WHEN 'pending' THEN 'expired' WHEN 'approved' THEN 'lapsed' ELSE 'unknown' END,
               ended_at = now()
         WHERE investigation = NEW.id AND state IN ('pending', 'approved', 'executing');
        RETURN NULL;
    END $$
    """,
    """
    CREATE TRIGGER approvals_end_with_the_run AFTER UPDATE OF ended_at ON investigation
        FOR EACH ROW WHEN (OLD.ended_at IS NULL AND NEW.ended_at IS NOT NULL)
        EXECUTE FUNCTION approvals_end_with_the_run()
    """,
)


def upgrade() -> None:
    """Add what custom toolsets need."""
    for statement in _STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    """Approvals and pins are lost: changes under way are not known of any more, and servers are believed anew."""
    op.execute("DROP TRIGGER approvals_end_with_the_run ON investigation")
    op.execute("DROP TABLE tool_approval, toolset_pin")
    op.execute("DROP FUNCTION approvals_end_with_the_run, tell_approval")

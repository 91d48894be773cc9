"""The course of an investigation: its events, its cancelling, replays, feedback, shared runs and kept results.

Events are written by a trigger, in the transaction of the state they tell: whatever statement changes a row, and
whoever adds one later, the two cannot part. Their numbers come from the row itself, whose lock orders them, so that
they are without gaps and are seen in order.
"""

from __future__ import annotations

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_STATEMENTS = (
    """
    ALTER TABLE investigation
        ADD COLUMN events integer NOT NULL DEFAULT 1,
        ADD COLUMN cancelled_by text,
        ADD COLUMN shared_key bytea,
        ADD COLUMN evidence_key bytea,
        ADD COLUMN replay jsonb,
        ADD COLUMN frozen jsonb,
        ADD COLUMN original jsonb
    """,
    "COMMENT ON COLUMN investigation.events IS 'number of its last event'",
    "COMMENT ON COLUMN investigation.shared_key IS 'equal for requests that may share one run'",
    "COMMENT ON COLUMN investigation.evidence_key IS 'question, target and evidence that a model was asked about'",
    "COMMENT ON COLUMN investigation.replay IS 'of which investigation it is a replay, and with what'",
    "COMMENT ON COLUMN investigation.frozen IS 'of a replay: the verdict of triage on the evidence of the original'",
    "COMMENT ON COLUMN investigation.original IS 'of a replay: the verdict it is compared with, without evidence'",
    # The names PostgreSQL gave the checks of 0001.
    "ALTER TABLE investigation DROP CONSTRAINT investigation_status_check, DROP CONSTRAINT investigation_check",
    """
    ALTER TABLE investigation
        ADD CONSTRAINT investigation_status_check
            CHECK (status IN ('started', 'running', 'completed', 'failed', 'cancelled')),
        ADD CONSTRAINT investigation_check
            CHECK ((ended_at IS NOT NULL) = (status IN ('completed', 'failed', 'cancelled'))),
        ADD CONSTRAINT investigation_cancelled_check CHECK ((cancelled_by IS NOT NULL) = (status = 'cancelled'))
    """,
    """
    CREATE UNIQUE INDEX investigation_shared ON investigation (shared_key)
        WHERE shared_key IS NOT NULL AND ended_at IS NULL
    """,
    """
    CREATE INDEX investigation_kept ON investigation (tenant, evidence_key, ended_at DESC)
        WHERE evidence_key IS NOT NULL AND status = 'completed'
    """,
    "CREATE INDEX investigation_by_status ON investigation (tenant, status, created_at DESC, id DESC)",
    # The name itself may be longer than an index takes.
    """
    CREATE INDEX investigation_by_alert ON investigation
        (tenant, md5(request->>'alert_name'), created_at DESC, id DESC)
    """,
    "CREATE INDEX investigation_by_namespace ON investigation (tenant, namespace, created_at DESC, id DESC)",
    "CREATE INDEX investigation_by_priority ON investigation (tenant, priority, created_at DESC, id DESC)",
    """
    CREATE FUNCTION engine_of(status text, verdict jsonb, interim jsonb) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
        SELECT CASE WHEN status IN ('failed', 'cancelled') THEN NULL
                    ELSE coalesce(verdict->>'engine', interim->>'engine') END
    $$
    """,
    """
    CREATE INDEX investigation_by_engine ON investigation
        (tenant, engine_of(status, verdict, interim), created_at DESC, id DESC)
    """,
    """
    CREATE TABLE investigation_event (
        investigation text NOT NULL REFERENCES investigation (id) ON DELETE CASCADE,
        seq integer NOT NULL,
        at timestamptz NOT NULL DEFAULT clock_timestamp(),
        name text NOT NULL,
        data jsonb NOT NULL,
        PRIMARY KEY (investigation, seq)
    )
    """,
    """
    CREATE TABLE investigation_feedback (
        investigation text NOT NULL REFERENCES investigation (id) ON DELETE CASCADE,
        caller text NOT NULL,
        helpful boolean,
        correct_cause boolean,
        actual_cause jsonb,
        comment text,
        at timestamptz NOT NULL DEFAULT clock_timestamp(),
        PRIMARY KEY (investigation, caller)
    )
    """,
    """
    CREATE FUNCTION told_verdict(verdict jsonb) RETURNS jsonb LANGUAGE sql IMMUTABLE AS $$
        SELECT jsonb_strip_nulls(jsonb_build_object(
            'engine', verdict->'engine',
            'summary', verdict->'summary',
            'root_cause', verdict->'root_cause',
            'target', nullif(verdict#>'{results,cause,target}', 'null'),
            'confidence', verdict#>'{results,cause,confidence,value}',
            'no_cause_reason', verdict#>'{results,no_cause_reason}'))
    $$
    """,
    """
    CREATE FUNCTION told_end(ended investigation) RETURNS jsonb LANGUAGE sql STABLE AS $$
        SELECT CASE ended.status
            WHEN 'completed' THEN told_verdict(ended.verdict)
            WHEN 'failed' THEN jsonb_build_object('error_code', ended.error_code, 'error', ended.error)
            WHEN 'cancelled' THEN jsonb_build_object('by', ended.cancelled_by)
        END
    $$
    """,
    """
    INSERT INTO investigation_event (investigation, seq, at, name, data)
    SELECT id, 1, coalesce(ended_at, created_at),
           CASE WHEN ended_at IS NULL THEN 'started' ELSE status END,
           CASE WHEN ended_at IS NULL THEN jsonb_build_object('alert_name', request->'alert_name')
                ELSE told_end(investigation) END
      FROM investigation
    """,
    """
    CREATE FUNCTION tell_start() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        INSERT INTO investigation_event (investigation, seq, name, data)
        VALUES (NEW.id, NEW.events, 'started', jsonb_build_object('alert_name', NEW.request->'alert_name'));
        RETURN NULL;
    END $$
    """,
    """
    CREATE FUNCTION tell_course() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE
        names text[] := '{}';
        told jsonb[] := '{}';
        most_of_progress CONSTANT integer := 1000;
    BEGIN
        IF NEW.interim IS NOT NULL AND OLD.interim IS NULL THEN
            names := names || 'interim'::text;
            told := told || told_verdict(NEW.interim);
        END IF;
        IF NEW.ended_at IS NOT NULL THEN
            IF NEW.verdict->>'degraded_reason' IS NOT NULL THEN
                names := names || 'degraded'::text;
                told := told || jsonb_strip_nulls(jsonb_build_object(
                    'reason', NEW.verdict->'degraded_reason', 'detail', NEW.verdict->'degraded_detail'));
            END IF;
            names := names || NEW.status;
            told := told || told_end(NEW);
        ELSIF NEW.held_at IS NOT NULL AND OLD.held_at IS NULL THEN
            names := names || 'held'::text;
            told := told || jsonb_build_object('progress', NEW.progress, 'waiting_before', (
                SELECT count(*) FROM investigation AS one WHERE one.held_at < NEW.held_at AND one.id <> NEW.id));
        ELSIF NEW.runs > OLD.runs THEN
            names := names || 'running'::text;
            told := told || jsonb_build_object('run', NEW.runs, 'progress', NEW.progress, 'stage', NEW.stage);
        ELSIF (NEW.stage, NEW.progress) IS DISTINCT FROM (OLD.stage, OLD.progress)
              AND NEW.events < most_of_progress THEN
            names := names || 'progress'::text;
            told := told || jsonb_build_object('progress', NEW.progress, 'stage', NEW.stage);
        END IF;
        FOR number IN 1 .. cardinality(names) LOOP
            NEW.events := NEW.events + 1;
            INSERT INTO investigation_event (investigation, seq, name, data)
            VALUES (NEW.id, NEW.events, names[number], told[number]);
        END LOOP;
        RETURN NEW;
    END $$
    """,
    "CREATE TRIGGER tell_start AFTER INSERT ON investigation FOR EACH ROW EXECUTE FUNCTION tell_start()",
    "CREATE TRIGGER tell_course BEFORE UPDATE ON investigation FOR EACH ROW EXECUTE FUNCTION tell_course()",
)


def upgrade() -> None:
    """Add it. Investigations from before have one event, which tells how they stand or how they ended."""
    for statement in _STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    """Events and feedback are lost; what was cancelled has failed."""
    op.execute("DROP TRIGGER tell_course ON investigation")
    op.execute("DROP TRIGGER tell_start ON investigation")
    op.execute("DROP TABLE investigation_event, investigation_feedback")
    op.execute("DROP FUNCTION tell_course, tell_start, told_end, told_verdict")
    op.execute("ALTER TABLE investigation DISABLE TRIGGER ended_never_changes")
    op.execute(
        "ALTER TABLE investigation DROP CONSTRAINT investigation_cancelled_check, "
        "DROP CONSTRAINT investigation_status_check, DROP CONSTRAINT investigation_check"
    )
    op.execute(
        "UPDATE investigation SET status = 'failed', error_code = 'cancelled', "
        "error = 'cancelled by ' || cancelled_by WHERE status = 'cancelled'"
    )
    op.execute(
        "ALTER TABLE investigation "
        "ADD CONSTRAINT investigation_status_check "
        "CHECK (status IN ('started', 'running', 'completed', 'failed')), "
        "ADD CONSTRAINT investigation_check CHECK ((ended_at IS NOT NULL) = (status IN ('completed', 'failed')))"
    )
    op.execute("ALTER TABLE investigation ENABLE TRIGGER ended_never_changes")
    op.execute("DROP INDEX investigation_by_engine")
    op.execute("DROP FUNCTION engine_of")
    op.execute(
        "DROP INDEX investigation_by_status, investigation_by_alert, investigation_by_namespace, "
        "investigation_by_priority"
    )
    op.execute(
        "ALTER TABLE investigation DROP COLUMN events, DROP COLUMN cancelled_by, DROP COLUMN shared_key, "
        "DROP COLUMN evidence_key, DROP COLUMN replay, DROP COLUMN frozen, DROP COLUMN original"
    )

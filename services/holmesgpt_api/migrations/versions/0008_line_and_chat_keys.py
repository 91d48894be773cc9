"""The line at the model: whose turn it is, by priority and by tenant, and how many come before whom. And the keys that
questions of a chat are asked with.

The line's rule is `domain/line.py`. What is kept here: how far each priority is along, and the last number of each tenant. Numbers
are given by a trigger, to whatever statement holds an investigation, in the transaction that does it.
"""

from __future__ import annotations

from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

_BY_AGE = "SELECT count(*) FROM investigation AS one WHERE one.held_at < NEW.held_at AND one.id <> NEW.id"
_BY_TURN = "SELECT held_before(NEW.priority, NEW.turn, NEW.held_at, NEW.id)"


def _told_by(old: str, new: str) -> str:
    """Change one expression of the function that tells events, whatever else other releases have made of it."""
    return f"""
    DO $do$
    DECLARE
        body text := pg_get_functiondef('tell_course()'::regprocedure);
        old CONSTANT text := $old${old}$old$;
    BEGIN
        IF position(old IN body) = 0 THEN
            RAISE EXCEPTION 'tell_course() does not count who waits as it did';
        END IF;
        EXECUTE replace(body, old, $new${new}$new$);
    END $do$
    """


_STATEMENTS = (
    """
    CREATE TABLE line (
        priority text PRIMARY KEY,
        stride bigint NOT NULL CHECK (stride > 0),
        passed bigint NOT NULL DEFAULT 0,
        clock bigint NOT NULL DEFAULT 0
    ) WITH (fillfactor = 50)
    """,
    "INSERT INTO line (priority, stride) VALUES ('P0', 1), ('P1', 4), ('P2', 16), ('P3', 64)",
    "COMMENT ON TABLE line IS 'one row per priority; who takes a turn locks them, so that turns come one after the other'",
    "COMMENT ON COLUMN line.passed IS 'how far it is along; the one whose passed + stride is least has the next turn'",
    "COMMENT ON COLUMN line.clock IS 'the highest number (investigation.turn) taken from it'",
    """
    CREATE TABLE line_tenant (
        priority text NOT NULL REFERENCES line,
        tenant text NOT NULL,
        last bigint NOT NULL,
        PRIMARY KEY (priority, tenant)
    )
    """,
    "COMMENT ON TABLE line_tenant IS 'the last number each tenant was given; without meaning once the clock is past it'",
    "ALTER TABLE investigation ADD COLUMN turn bigint, ADD COLUMN token bigint",
    "COMMENT ON COLUMN investigation.turn IS 'its number in the line of its priority'",
    "COMMENT ON COLUMN investigation.token IS 'the job that took it from the line, and takes it up again after a crash'",
    """
    UPDATE investigation SET turn = numbered.turn
      FROM (SELECT id, row_number() OVER (PARTITION BY priority, tenant ORDER BY held_at, id) - 1 AS turn
              FROM investigation WHERE held_at IS NOT NULL) AS numbered
     WHERE investigation.id = numbered.id
    """,
    """
    INSERT INTO line_tenant (priority, tenant, last)
    SELECT priority, tenant, max(turn) FROM investigation WHERE held_at IS NOT NULL GROUP BY priority, tenant
    """,
    """
    ALTER TABLE investigation
        ADD CONSTRAINT investigation_turn_check CHECK (held_at IS NULL OR turn IS NOT NULL)
    """,
    """
    CREATE INDEX investigation_line ON investigation (priority, turn, held_at, id) WHERE held_at IS NOT NULL
    """,
    """
    CREATE INDEX investigation_line_tenant ON investigation (priority, tenant, turn, held_at, id)
        WHERE held_at IS NOT NULL
    """,
    """
    CREATE INDEX investigation_asking ON investigation (tenant)
        WHERE interim IS NOT NULL AND held_at IS NULL AND ended_at IS NULL
    """,
    """
    CREATE INDEX investigation_not_triaged ON investigation (tenant, priority)
        WHERE ended_at IS NULL AND interim IS NULL
    """,
    """
    CREATE UNIQUE INDEX investigation_token ON investigation (token)
        WHERE token IS NOT NULL AND ended_at IS NULL
    """,
    """
    CREATE FUNCTION line_up() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        INSERT INTO line_tenant AS known (priority, tenant, last)
        SELECT NEW.priority, NEW.tenant, line.clock FROM line WHERE line.priority = NEW.priority
        ON CONFLICT (priority, tenant) DO UPDATE SET last = greatest(known.last + 1, excluded.last)
        RETURNING last INTO STRICT NEW.turn;
        RETURN NEW;
    END $$
    """,
    # Triggers run by their names: this one before tell_course, which tells how many are before it.
    """
    CREATE TRIGGER line_up BEFORE UPDATE OF held_at ON investigation
        FOR EACH ROW WHEN (OLD.held_at IS NULL AND NEW.held_at IS NOT NULL) EXECUTE FUNCTION line_up()
    """,
    # Numbers of those that leave without a turn are free again: or a tenant whose storm ran out of time would pay for it
    # with its next one. Whoever is giving that tenant a number just now has seen the same, so nobody waits for it.
    """
    CREATE FUNCTION line_off() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        UPDATE line_tenant AS known SET last = left_over.last
          FROM (SELECT coalesce(max(one.turn), max(line.clock)) AS last
                  FROM line LEFT JOIN investigation AS one
                    ON one.held_at IS NOT NULL AND one.priority = line.priority AND one.tenant = OLD.tenant
                 WHERE line.priority = OLD.priority) AS left_over
         WHERE (known.priority, known.tenant) IN (
                SELECT priority, tenant FROM line_tenant WHERE priority = OLD.priority AND tenant = OLD.tenant
                   FOR UPDATE SKIP LOCKED)
           AND known.last > left_over.last;
        RETURN NULL;
    END $$
    """,
    """
    CREATE TRIGGER line_off AFTER UPDATE OF ended_at ON investigation
        FOR EACH ROW WHEN (OLD.held_at IS NOT NULL AND NEW.ended_at IS NOT NULL) EXECUTE FUNCTION line_off()
    """,
    """
    CREATE FUNCTION held_before(its_priority text, its_turn bigint, since timestamptz, its_id text) RETURNS bigint
    LANGUAGE sql STABLE AS $$
        WITH mine AS (
            SELECT priority, passed, stride, (
                SELECT count(*) FROM investigation AS one
                 WHERE one.held_at IS NOT NULL AND one.priority = its_priority
                   AND (one.turn, one.held_at, one.id) < (its_turn, since, its_id)) AS rank
              FROM line WHERE priority = its_priority),
        due AS (SELECT priority, rank, passed + (rank + 1) * stride AS at FROM mine)
        SELECT due.rank + (
            SELECT sum((
                SELECT count(*) FROM (
                    SELECT FROM investigation AS one
                     WHERE one.held_at IS NOT NULL AND one.priority = other.priority
                     LIMIT greatest(0, (due.at - (other.priority > due.priority)::integer - other.passed) / other.stride)
                ) AS few))
              FROM line AS other WHERE other.priority <> due.priority)::bigint
          FROM due
    $$
    """,
    "COMMENT ON FUNCTION held_before IS 'how many have their turn first, if nobody joins or leaves: domain.line.before'",
    _told_by(_BY_AGE, _BY_TURN),
    "ALTER TABLE chat_turn ADD COLUMN idempotency_key text, ADD COLUMN digest bytea",
    "COMMENT ON COLUMN chat_turn.digest IS 'of what was asked with the key'",
    """
    CREATE UNIQUE INDEX chat_turn_key ON chat_turn (tenant, owner, idempotency_key)
        WHERE idempotency_key IS NOT NULL
    """,
)


def upgrade() -> None:
    """Give those that wait their numbers, the oldest of each tenant first."""
    for statement in _STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    """The oldest is next again; a repeated question is a new one."""
    op.execute("ALTER TABLE chat_turn DROP COLUMN idempotency_key, DROP COLUMN digest")
    op.execute(_told_by(_BY_TURN, _BY_AGE))
    op.execute("DROP TRIGGER line_up ON investigation")
    op.execute("DROP TRIGGER line_off ON investigation")
    op.execute("DROP FUNCTION line_up, line_off, held_before")
    op.execute("DROP INDEX investigation_not_triaged, investigation_asking")
    op.execute("ALTER TABLE investigation DROP COLUMN turn, DROP COLUMN token")
    op.execute("DROP TABLE line_tenant, line")

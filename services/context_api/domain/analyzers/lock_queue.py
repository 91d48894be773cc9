"""Statements that queue for a lock in a database: whose request they stand behind, and who holds what it asks for.

Sees, in the logs of databases that an alert leads to, waits that go on (`lock_waits`). Where a strong request (a schema
change) waits at the head, whoever sent it is named, since what comes later waits for it; else whoever holds the lock.
Sessions are found among the workloads whose settings name the database: by the statement in their own log, else by the
application's name. One statement that waits for another is latent; where several queue, something is wrong with them.
Cannot see databases that do not log waits, nor sessions of people.

Rests on: https://www.postgresql.org/docs/current/explicit-locking.html,
https://www.postgresql.org/docs/current/sql-altertable.html (its lock).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from libs.contracts.causes import FindingSeverity
from services.context_api.domain import evidence, remedies
from services.context_api.domain.dependencies import PODS_READ
from services.context_api.domain.focus import concerned
from services.context_api.domain.kube import containers, entries, pod_spec, strings, text
from services.context_api.domain.lock_waits import Queue, Session, queues
from services.context_api.domain.logs import cut
from services.context_api.domain.observation import AGAINST, Depth, Explains, Observation
from services.context_api.domain.redact import redact
from services.context_api.domain.scene import Scene
from services.context_api.domain.snapshot import KubeObject
from services.context_api.domain.wording import clock, name_of

NAME = "lock_queue"
BLOCKS_ALL = "AccessExclusiveLock"
FEWEST = 3
"""Others behind the head from which a queue is trouble by itself."""

QUOTED = 60
"""Characters of a statement that tell it from others."""


def explain(scene: Scene, seen: Sequence[Observation]) -> Iterator[Observation]:
    """One observation per database where statements queue."""
    for database in concerned(scene, seen):
        for pod in scene.graph.pods_of(database)[:PODS_READ]:
            for log in scene.snapshot.logs_of(pod.namespace, pod.name):
                for queue in queues(log.text, scene.now)[:1] if not log.previous else ():
                    yield _observation(scene, database, pod, log.container, queue)


def _clients(scene: Scene, database: KubeObject) -> list[KubeObject]:
    """Top owners whose settings name the database."""
    tops = {id(t): t for t in map(scene.graph.top, scene.graph.workloads)}
    return [
        top
        for top in tops.values()
        if top is not database
        and any(
            m.found is not None and database in scene.deps.behind(m.found) for m in scene.deps.configured(top)
        )
    ]


def _sender(scene: Scene, session: Session, clients: Sequence[KubeObject]) -> KubeObject | None:
    """The workload that a session belongs to: its log has the statement, else it alone has the application's name."""
    said = " ".join(session.statement.split())[:QUOTED]
    if len(said) >= QUOTED // 2:
        quoting = [top for top in clients if any(said in " ".join(w.split()) for w in _logs(scene, top))]
        if len(quoting) == 1:
            return quoting[0]
    if len(session.application) < 3:
        return None
    named = [
        top
        for top in clients
        if session.application in (top.name, *_words(scene, top))
        or any(session.application in words for words in _logs(scene, top))
    ]
    exact = [top for top in named if top.name == session.application]
    return exact[0] if len(exact) == 1 else named[0] if len(named) == 1 else None


def _logs(scene: Scene, top: KubeObject) -> Iterator[str]:
    for pod in scene.graph.pods_of(top)[:PODS_READ]:
        for log in scene.snapshot.logs_of(pod.namespace, pod.name):
            yield log.text


def _words(scene: Scene, top: KubeObject) -> Iterator[str]:
    """Names of containers, arguments and values of its environment."""
    for workload in scene.graph.workloads_of(top):
        for container in containers(pod_spec(workload)):
            yield text(container.get("name"))
            yield from strings(container.get("args"))
            yield from (text(v.get("value")) for v in entries(container.get("env")))


def _told(session: Session, top: KubeObject | None) -> str:
    who = ", ".join(
        words
        for words in (
            f"user {session.user}" if session.user else "",
            f"application {session.application}" if session.application else "",
            name_of(top) if top is not None else "",
        )
        if words
    )
    return f"process {session.pid}" + (f" ({who})" if who else "")


def _observation(
    scene: Scene, database: KubeObject, pod: KubeObject, container: str, queue: Queue
) -> Observation:
    clients = _clients(scene, database)
    asks = _sender(scene, queue.first, clients)
    held = [(one, _sender(scene, one, clients)) for one in queue.holders]
    holder = next((top for _, top in held if top is not None), None)
    order = (asks, holder) if queue.mode == BLOCKS_ALL else (holder, asks)
    about = next((top for top in order if top is not None), database)
    statement = redact(cut(queue.first.statement, 240))
    words = (
        f"{_told(queue.first, asks)} waits since {clock(queue.first.since)} for {queue.mode} on {queue.on}"
        + (f" to run `{statement}`" if statement else "")
    )
    if held:
        words += f"; the lock is held by {' and '.join(_told(one, top) for one, top in held[:3])}"
    words += f"; {queue.behind} other statements queue behind, by the log of {name_of(database)}"
    waiting = [
        top
        for top in clients
        if any(s.found is not None and database in scene.deps.behind(s.found) for s in scene.deps.spoken(top))
    ]
    return Observation(
        about=about,
        reason="LockQueue",
        text=f"{name_of(about)} stands at the head of a queue for a lock in {name_of(database)}: {words}",
        severity=FindingSeverity.critical,
        analyzer=NAME,
        depth=Depth.mechanism,
        certainty=0.85 if about is not database else 0.6,
        facts=(evidence.log_line(pod, container, redact(cut(queue.said)), 1),),
        basis=(
            "the database logs who waits for whom",
            "the session is found among those whose settings name the database"
            if about is not database
            else f"{AGAINST}no recorded workload has that session",
        ),
        onset=queue.first.since,
        remediation=remedies.look(
            about,
            f"Cancel process {queue.first.pid} so that the others can go on, and run it with a lock timeout when nobody holds the lock"
            + (f"; or end process {queue.holders[0].pid}." if queue.holders else "."),
        ),
        explains=tuple(
            Explains(one, 0.9, f"its statements wait in {name_of(database)}", deepest=Depth.process)
            for one in (database, *waiting)
            if one is not about
        ),
        latent=queue.behind < FEWEST,
    )

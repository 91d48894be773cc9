"""tests/unit mirrors the source: `libs/web/edge.py` is tested by `tests/unit/libs/web/test_edge.py`.

A module without decisions of its own needs no such file. One whose decisions can only be seen against something
real is listed here, with the tests that see them.
"""

from __future__ import annotations

import ast
from fnmatch import fnmatch

import pytest

from tests.support.source import ROOT, Module, functions, modules

pytestmark = pytest.mark.requirement("API-BR-DOC-014", "INT-BR-TEST-010")

SEEN_ELSEWHERE: dict[str, tuple[str, str]] = {
    "libs/logs/stream.py": (
        "whether lines stay whole and in order shows in a file, with threads and an event loop",
        "tests/integration/logs/test_stream.py",
    ),
    "libs/metrics/server.py": (
        "a port and a thread of its own are only real as such",
        "tests/integration/metrics/test_server.py",
    ),
    "libs/web/protocol.py": (
        "a slow sender is one only on a socket",
        "tests/integration/web/test_sockets.py",
    ),
    "libs/web/server.py": (
        "a process's start and end are seen from another one",
        "tests/integration/web/test_server.py",
    ),
    "cli/doctor/gather.py": (
        "what a machine has is only seen on a machine",
        "tests/integration/cli/test_doctor.py",
    ),
    "cli/watch/command.py": (
        "signals, terminals and pipes are a process's; and services that go and come back",
        "tests/integration/cli/test_watch.py",
    ),
    "cli/serve_recording/command.py": (
        "ports, signals and what clients see of them are a process's",
        "tests/integration/cli/test_serve_recording.py",
    ),
    "services/*/migrations/versions/*.py": (
        "a migration is SQL, and every test on a real database begins with it",
        "tests/integration/*/test_*.py",
    ),
    "services/holmesgpt_api/adapters/ledger.py": (
        "its promises are kept by SQL; one suite holds it beside the tests' in-memory one",
        "tests/integration/holmesgpt_api/test_ledger.py",
    ),
    "services/holmesgpt_api/adapters/line.py": (
        "that workers take turns one after the other is kept by locks, and places are counted by SQL",
        "tests/integration/holmesgpt_api/test_line.py",
    ),
    "services/holmesgpt_api/adapters/purse.py": (
        "that many runs at once spend no more than there is is kept by locks",
        "tests/integration/holmesgpt_api/test_budgets.py",
    ),
    "services/holmesgpt_api/adapters/approvals.py": (
        "that something is done once, whoever is killed, is kept by rows and locks",
        "tests/integration/holmesgpt_api/test_approvals.py",
    ),
    "services/holmesgpt_api/adapters/pins.py": (
        "whoever looks first decides for all, by a key",
        "tests/integration/holmesgpt_api/test_toolset_servers.py",
    ),
    "services/holmesgpt_api/adapters/outbound.py": (
        "redirects, names, bombs and broken connections are only real on a socket",
        "tests/integration/holmesgpt_api/test_hostile_systems.py",
    ),
    "services/holmesgpt_api/adapters/toolset_mcp.py": (
        "a protocol is spoken with a server",
        "tests/integration/holmesgpt_api/test_toolset_servers.py",
    ),
    "services/holmesgpt_api/adapters/toolbox.py": (
        "it joins the parts; what counts is what comes of a real server's answers",
        "tests/integration/holmesgpt_api/test_toolset_servers.py",
    ),
    "services/holmesgpt_api/adapters/abroad.py": (
        "what a run may have done, and how often, shows at a real server and a real database",
        "tests/integration/holmesgpt_api/test_approvals.py",
    ),
    "services/holmesgpt_api/adapters/agency.py": (
        "it joins the parts; whether they fit shows in the worker",
        "tests/integration/holmesgpt_api/test_custom_toolsets.py",
    ),
    "services/holmesgpt_api/routes/approvals.py": (
        "a route is its path, its guard and its answer: all of it only shows over HTTP",
        "tests/integration/holmesgpt_api/test_approvals.py",
    ),
    "services/holmesgpt_api/steps/approve.py": (
        "it is two calls in a row; that they fit shows with a database",
        "tests/integration/holmesgpt_api/test_approvals.py",
    ),
    "services/holmesgpt_api/adapters/engine_reports.py": (
        "a report is a row, and whether it is fresh the database's clock decides",
        "tests/integration/holmesgpt_api/test_engine_reports.py",
    ),
    "services/holmesgpt_api/adapters/holmes.py": (
        "it follows a process; what it makes of that process's death only a process shows",
        "tests/integration/holmesgpt_api/test_zygote.py",
    ),
    "services/holmesgpt_api/adapters/running.py": (
        "what is said to a process and what its death means only a process shows",
        "tests/integration/holmesgpt_api/test_zygote.py",
    ),
    "services/holmesgpt_api/adapters/history.py": (
        "what it finds, and by which index, the database decides",
        "tests/integration/holmesgpt_api/test_analysis.py",
    ),
    "services/holmesgpt_api/adapters/steps.py": (
        "its promises are kept by SQL; one suite holds it beside the tests' in-memory one",
        "tests/integration/holmesgpt_api/test_steps.py",
    ),
    "services/holmesgpt_api/adapters/underway.py": (
        "what a step's row tells is there once a run has stored it",
        "tests/integration/holmesgpt_api/test_underway.py",
    ),
    "services/holmesgpt_api/engine/steps.py": (
        "it records a run of HolmesGPT, which is installed in the engine's environment alone",
        "tests/integration/holmesgpt_api/test_resume.py",
    ),
    "services/holmesgpt_api/routes/analysis.py": (
        "each route is one call; what callers get is seen with a database behind it",
        "tests/integration/holmesgpt_api/test_analysis.py",
    ),
    "services/holmesgpt_api/adapters/zygote.py": (
        "starting, forking, killing and reaping are only real with processes",
        "tests/integration/holmesgpt_api/test_zygote.py",
    ),
    "services/holmesgpt_api/engine/zygote.py": (
        "starting, forking, killing and reaping are only real with processes",
        "tests/integration/holmesgpt_api/test_zygote.py",
    ),
    "services/holmesgpt_api/engine/child.py": (
        "it drives HolmesGPT, which is installed in the engine's environment alone",
        "tests/integration/holmesgpt_api/test_model.py",
    ),
    "services/holmesgpt_api/engine/llm.py": (
        "it bounds HolmesGPT's client, which is installed in the engine's environment alone",
        "tests/integration/holmesgpt_api/test_model.py",
    ),
    "services/holmesgpt_api/engine/wire.py": (
        "what it sends is put by the library that is installed in the engine's environment alone",
        "tests/integration/holmesgpt_api/test_providers.py",
    ),
    "services/holmesgpt_api/engine/warm.py": (
        "it drives HolmesGPT, which is installed in the engine's environment alone",
        "tests/integration/holmesgpt_api/test_residents.py",
    ),
    "services/holmesgpt_api/engine/ear.py": (
        "it listens to a socket beside a model's client, and ends the process it is in",
        "tests/integration/holmesgpt_api/test_budgets.py",
    ),
    "services/holmesgpt_api/engine/tools.py": (
        "it is HolmesGPT's form of the desk, which has its own tests",
        "tests/integration/holmesgpt_api/test_model.py",
    ),
    "services/holmesgpt_api/adapters/gatherings.py": (
        "what processes tell each other are rows, and which of them are fresh the database's clock decides",
        "tests/integration/holmesgpt_api/test_overview.py",
    ),
    "services/holmesgpt_api/routes/overview.py": (
        "each route is one call; shapes, permissions and statuses show over HTTP",
        "tests/integration/holmesgpt_api/test_overview.py",
    ),
    "services/holmesgpt_api/routes/investigate.py": (
        "each route is one call; what callers get is seen with a worker and a database behind it",
        "tests/integration/holmesgpt_api/test_service.py",
    ),
    "services/holmesgpt_api/routes/course.py": (
        "each route is one call; streams and what follows from a call are seen over HTTP with a database behind it",
        "tests/integration/holmesgpt_api/test_events.py",
    ),
    "services/holmesgpt_api/adapters/course.py": (
        "events are written by the database itself, in the transaction of what they tell",
        "tests/integration/holmesgpt_api/test_events.py",
    ),
    "services/holmesgpt_api/adapters/replays.py": (
        "a replay is a row and its jobs, committed together",
        "tests/integration/holmesgpt_api/test_replay.py",
    ),
    "services/holmesgpt_api/adapters/feedback.py": (
        "that each caller counts once is kept by a key",
        "tests/integration/holmesgpt_api/test_feedback.py",
    ),
    "services/holmesgpt_api/adapters/ledger_sql.py": (
        "statements are only right against the database, and so is which index they use",
        "tests/integration/holmesgpt_api/test_l*.py",
    ),
    "services/holmesgpt_api/steps/rerun.py": (
        "it is three calls in a row; what they decide has its own tests",
        "tests/integration/holmesgpt_api/test_replay.py",
    ),
    "services/holmesgpt_api/steps/feedback.py": (
        "it is three calls in a row; that they fit shows with a database",
        "tests/integration/holmesgpt_api/test_feedback.py",
    ),
    "services/holmesgpt_api/adapters/chat_sessions.py": (
        "its promises are kept by SQL; one suite holds it beside the tests' in-memory one",
        "tests/integration/holmesgpt_api/test_chat_sessions.py",
    ),
    "services/holmesgpt_api/adapters/holmes_chat.py": (
        "it follows a process; what is made of that process's answer or death only a process shows",
        "tests/integration/holmesgpt_api/test_chat_model.py",
    ),
    "services/holmesgpt_api/engine/talking.py": (
        "it drives HolmesGPT, which is installed in the engine's environment alone",
        "tests/integration/holmesgpt_api/test_chat_model.py",
    ),
    "services/holmesgpt_api/routes/chat.py": (
        "each route is one call; what callers get is seen with a database behind it",
        "tests/integration/holmesgpt_api/test_chat.py",
    ),
    "services/holmesgpt_api/routes/chat_socket.py": (
        "a socket is one only on a network, with a client at its other end",
        "tests/integration/holmesgpt_api/test_chat_socket.py",
    ),
    "services/holmesgpt_api/wiring/*.py": (
        "it joins the parts; whether they fit shows when they run",
        "tests/integration/holmesgpt_api/test_*.py",
    ),
    "services/context_api/routes/context.py": (
        "a route is its path, its guard and its answer: all of it only shows over HTTP",
        "tests/integration/context_api/test_service.py",
    ),
    "services/context_api/routes/bundle.py": (
        "a route is its path, its guard and its answer, and a stream is one over HTTP",
        "tests/integration/context_api/test_bundle.py",
    ),
    "services/context_api/routes/older.py": (
        "a route is its path, its guard and its answer: all of it only shows over HTTP",
        "tests/integration/context_api/test_bundle.py",
    ),
    "services/context_api/routes/tuning.py": (
        "a route is its path, its guard and its answer: all of it only shows over HTTP",
        "tests/integration/context_api/test_tuning.py",
    ),
    "services/context_api/adapters/tuning_record.py": (
        "that a decision follows once from what was said is kept by locks and keys",
        "tests/integration/context_api/test_tuning.py",
    ),
    "services/context_api/routes/for_models.py": (
        "it hands a request to the protocol's server and a tool's error to its caller, which a real client shows",
        "tests/integration/context_api/test_mcp.py",
    ),
    "services/context_api/adapters/mcp_server.py": (
        "a protocol is spoken with its clients, of both its eras",
        "tests/integration/context_api/test_mcp.py",
    ),
    "services/context_api/wiring.py": (
        "it joins what is tested alone; what counts is the running service",
        "tests/integration/context_api/test_service.py",
    ),
    "services/context_api/adapters/recording/files.py": (
        "a directory with links, pipes and odd names is only real on a file system",
        "tests/integration/context_api/recording/test_files.py",
    ),
    "services/context_api/adapters/recording/archive.py": (
        "whether an archive is stopped in time shows on a whole one",
        "tests/integration/context_api/recording/test_archive.py",
    ),
    "services/context_api/adapters/recording/load.py": (
        "it joins the parts; what counts is what comes of a directory",
        "tests/integration/context_api/recording/test_load.py",
    ),
    "services/context_api/adapters/live/api.py": (
        "deadlines, retries and broken connections are only real on a socket",
        "tests/integration/context_api/live/test_api.py",
    ),
    "services/context_api/adapters/live/build.py": (
        "it joins the parts; that each has its gate and its matchers shows in what is asked",
        "tests/integration/context_api/live/test_sources.py",
    ),
    "services/context_api/adapters/live/connect.py": (
        "kubeconfigs are files, and credentials the work of programs",
        "tests/integration/context_api/live/test_connect.py",
    ),
    "services/context_api/adapters/live/errors.py": (
        "only how long a source is left alone is worked out there, and shows where it is",
        "tests/unit/services/context_api/adapters/live/test_gate.py",
    ),
    "services/context_api/adapters/live/feed.py": (
        "it follows a server that forgets, breaks and falls silent; what follows what is tested with `verdicts`",
        "tests/integration/context_api/live/test_feed.py",
    ),
    "services/context_api/adapters/live/fetch.py": (
        "answers that break off, hang or grow are only real on a socket",
        "tests/integration/context_api/live/test_sources.py",
    ),
    "services/context_api/adapters/live/gather.py": (
        "it joins the parts; what counts is the snapshot of a server that answers, or does not",
        "tests/integration/context_api/live/test_gather.py",
    ),
    "services/context_api/adapters/live/logs.py": (
        "which node is spared shows with many calls under way",
        "tests/integration/context_api/live/test_logs.py",
    ),
    "services/alerts/adapters/archive.py": (
        "which rows a page holds is decided by SQL",
        "tests/integration/alerts/test_reads.py",
    ),
    "services/alerts/adapters/intake.py": (
        "merging batches without losing any is a matter of locks",
        "tests/integration/alerts/test_drain.py",
    ),
    "services/alerts/adapters/episodes.py": (
        "which episodes are placed, silent or forgotten is decided by SQL",
        "tests/integration/alerts/test_*.py",
    ),
    "services/alerts/adapters/incidents.py": (
        "that each thing happens once is kept by keys and locks",
        "tests/integration/alerts/test_incidents.py",
    ),
    "services/alerts/adapters/record.py": (
        "a transaction shows what it is worth when it fails",
        "tests/integration/alerts/test_*.py",
    ),
    "services/alerts/routes/alerts.py": (
        "each route is one call; what callers may see is decided with the rows",
        "tests/integration/alerts/test_reads.py",
    ),
    "services/alerts/steps/*.py": (
        "a step reads, asks the domain and writes down; whether that may happen twice only a database shows",
        "tests/integration/alerts/test_*.py",
    ),
    "services/alerts/wiring.py": (
        "it joins the parts; whether they fit shows when they run",
        "tests/integration/alerts/test_*.py",
    ),
    "libs/cache/redis.py": (
        "one suite holds it beside the in-process one; only a Redis shows whether it keeps its word",
        "tests/integration/cache/test_*.py",
    ),
    "libs/cache/turns.py": (
        "whose turn it is only a Redis knows",
        "tests/integration/cache/test_turns.py",
    ),
    "libs/web/kept.py": (
        "which header calls for which answer shows over HTTP, with somebody who keeps and somebody who asks",
        "tests/integration/context_api/test_kept_answers.py",
    ),
    "libs/ratelimit/redis.py": (
        "one suite holds it beside the in-process one; its rule is said again in Lua, which a Redis runs",
        "tests/integration/ratelimit/test_ratelimit.py",
    ),
    "libs/storage/statements.py": (
        "what a statement returns, and in which transaction it is, a database decides",
        "tests/integration/storage/test_statements.py",
    ),
    "libs/jobs/rescue.py": (
        "its decision is one SQL statement",
        "tests/integration/jobs/test_survival.py",
    ),
    "libs/jobs/schema.py": (
        "it hands the library's script to the database",
        "tests/integration/jobs/test_jobs.py",
    ),
    "libs/storage/database.py": (
        "a pool shows what it is worth when its server is stopped and killed",
        "tests/integration/storage/test_database.py",
    ),
    "libs/storage/patience.py": (
        "only a real server can be frozen under a real connection",
        "tests/integration/storage/test_database.py",
    ),
    "libs/storage/few.py": (
        "whether a pool turns a burst away, and whose connections are left, is seen with a pool",
        "tests/integration/storage/test_few.py",
    ),
    "libs/storage/migrations.py": (
        "transactions and locks are the database's",
        "tests/integration/storage/test_migrations.py",
    ),
    "libs/storage/upgrade.py": (
        "transactions and locks are the database's",
        "tests/integration/storage/test_migrations.py",
    ),
    "libs/storage/embedded/[lrs]*.py": (
        "starting, ending and clearing away processes is only real with processes",
        "tests/integration/storage/test_embedded.py",
    ),
    "services/notifications/adapters/dispatch.py": (
        "its promises are kept by SQL and locks, under kills and outages",
        "tests/integration/notifications/test_survival.py",
    ),
    "services/notifications/adapters/outbox.py": (
        "one transaction and two unique keys: what they hold is seen with requests side by side",
        "tests/integration/notifications/test_requests.py",
    ),
    "services/notifications/adapters/rows.py": (
        "rows to words and back; every statement of the two above goes through it",
        "tests/integration/notifications/test_deliveries.py",
    ),
    "services/notifications/adapters/smtp.py": (
        "encryption, certificates and a server's answers are only real on a socket",
        "tests/integration/notifications/test_smtp.py",
    ),
    "services/notifications/routes/notifications.py": (
        "each route is one call; who may make it and what comes back shows over HTTP",
        "tests/integration/notifications/test_requests.py",
    ),
    "services/notifications/steps/take.py": (
        "it joins a decision and a transaction, each tested alone",
        "tests/integration/notifications/test_requests.py",
    ),
    "services/notifications/wiring.py": (
        "it joins the parts; whether they fit shows when they run",
        "tests/integration/notifications/test_process.py",
    ),
}
"""Pattern of modules to (why no unit test, pattern of the tests that see them instead)."""


def mirror_of(module: Module) -> str:
    """Where the unit test of a module stands; a package's own code is tested in a file of the package's name."""
    folder, _, file = module.path.rpartition("/")
    if file == "__init__.py":
        folder, _, file = folder.rpartition("/")
        file += ".py"
    return f"tests/unit/{folder}/test_{file}"


def decides(module: Module) -> bool:
    """Whether a module has a function that does anything; protocols, models and tables do not."""
    protocols = {
        id(inner)
        for node in ast.walk(module.tree)
        if isinstance(node, ast.ClassDef) and any(_name(base) == "Protocol" for base in node.bases)
        for inner in ast.walk(node)
    }
    return any(not _empty(function) for function in functions(module.tree) if id(function) not in protocols)


def _name(base: ast.expr) -> str:
    base = base.value if isinstance(base, ast.Subscript) else base
    return base.attr if isinstance(base, ast.Attribute) else getattr(base, "id", "")


def _empty(function: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """Only a docstring, `...` or the storing of what an error carries: nothing to be wrong about."""
    return all(
        (isinstance(line, ast.Expr) and isinstance(line.value, ast.Constant))
        or isinstance(line, ast.Pass)
        or (function.name == "__init__" and _stores(line))
        for line in function.body
    )


def _stores(line: ast.stmt) -> bool:
    if isinstance(line, ast.Assign | ast.AnnAssign):
        return not isinstance(line.value, ast.Call)
    return isinstance(line, ast.Expr) and ast.unparse(line).startswith("super().__init__(")


def listed(module: Module) -> bool:
    return any(fnmatch(module.path, pattern) for pattern in SEEN_ELSEWHERE)


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("LIMIT = 3\n", False),
        ("class A:\n    x: int\n", False),
        ("class A(Protocol):\n    def f(self) -> int: ...\n", False),
        ("class A(Protocol[T]):\n    def f(self) -> int:\n        '''Says.'''\n", False),
        (
            "class E(Exception):\n    def __init__(self, x):\n        super().__init__(x)\n        self.x = x\n",
            False,
        ),
        ("def f():\n    return 1\n", True),
        ("class A:\n    async def f(self):\n        await g()\n", True),
        ("class A:\n    def __init__(self):\n        self.x = connect()\n", True),
    ],
)
def test_a_module_decides_when_it_does_something(source: str, expected: bool):
    assert decides(Module("libs/x.py", source)) is expected


@pytest.mark.parametrize(
    ("path", "mirror"),
    [
        ("libs/web/edge.py", "tests/unit/libs/web/test_edge.py"),
        ("libs/jobs/__init__.py", "tests/unit/libs/test_jobs.py"),
    ],
)
def test_a_mirror_stands_at_the_same_path(path: str, mirror: str):
    assert mirror_of(Module(path, "")) == mirror


def test_every_module_that_decides_has_its_unit_test_or_a_reason():
    missing = [
        f"{module.path} -> {mirror_of(module)}"
        for module in modules()
        if decides(module) and not (ROOT / mirror_of(module)).is_file() and not listed(module)
    ]

    assert not missing


def test_every_unit_test_has_the_module_it_mirrors():
    mirrors = {
        mirror_of(module)
        for module in modules(
            "libs",
            "services",
            "cli",
            "tools",
            "tests/bench",
            "tests/chaos",
            "tests/incidents",
            "tests/testbed",
        )
    }
    mirrors |= {mirror.replace("tests/unit/tests/", "tests/unit/") for mirror in mirrors}

    strays = [module.path for module in modules("tests/unit") if module.path not in mirrors]

    assert not [stray for stray in strays if "/test_" in stray]


@pytest.mark.parametrize(("pattern", "tests"), [(p, tests) for p, (_, tests) in SEEN_ELSEWHERE.items()])
def test_a_listed_module_exists_and_so_do_its_tests(pattern: str, tests: str):
    assert [module.path for module in modules() if fnmatch(module.path, pattern)]
    assert list(ROOT.glob(tests))

"""Rules over the whole source that a linter does not know. Each rule is shown first that it can find its fault."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator

import pytest

from tests.support.source import Module, imported, modules

pytestmark = pytest.mark.requirement("API-BR-DOC-014")

SECRETIVE = re.compile(r"(^|_)(password|passwd|secret|token|hmac|signature|api_?key|pepper)s?$")


def middleware_with_a_price(module: Module) -> Iterator[int]:
    """Starlette's BaseHTTPMiddleware costs 190 to 330 µs a request each (measured); ours is pure ASGI."""
    for node in ast.walk(module.tree):
        name = (
            node.id
            if isinstance(node, ast.Name)
            else getattr(node, "attr", None) or getattr(node, "name", None)
        )
        if name == "BaseHTTPMiddleware" or name == "starlette.middleware.base":
            yield getattr(node, "lineno", 0)


def jose_beside_its_door(module: Module) -> Iterator[int]:
    """python-jose has one door, so that its traps are met in one place."""
    if module.path != "libs/auth/tokens.py":
        yield from _imports(module, "jose")


def the_engine_outside_its_room(module: Module) -> Iterator[int]:
    """HolmesGPT is synchronous and pins other versions of what we use: it lives behind a process boundary."""
    if not module.path.startswith("services/holmesgpt_api/engine/"):
        yield from _imports(module, "holmes")


def environment_read_in_passing(module: Module) -> Iterator[int]:
    """What an operator can set stands in settings classes, and in the command line that starts processes."""
    if module.path.startswith("cli/") or module.path.endswith("/settings.py"):
        return
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Attribute) and node.attr in ("environ", "getenv", "environb"):
            yield node.lineno
        if isinstance(node, ast.ImportFrom) and node.module == "os":
            yield from (node.lineno for alias in node.names if alias.name in ("environ", "getenv"))


def secrets_compared_in_the_open(module: Module) -> Iterator[int]:
    """`==` on secrets ends at the first differing byte, and the time tells which; use hmac.compare_digest."""
    for node in ast.walk(module.tree):
        if not isinstance(node, ast.Compare):
            continue
        sides = [node.left, *node.comparators]
        equal = any(isinstance(op, ast.Eq | ast.NotEq) for op in node.ops)
        literal = any(isinstance(side, ast.Constant) for side in sides)
        if equal and not literal and any(SECRETIVE.search(_named(side)) for side in sides):
            yield node.lineno


def sleeping_threads(module: Module) -> Iterator[int]:
    """time.sleep holds the event loop; in a thread it delays a stop by its whole length. sleep(0) only yields."""
    yield from _imports(module, "time.sleep")
    for node in ast.walk(module.tree):
        if (
            isinstance(node, ast.Call)
            and ast.unparse(node.func) == "time.sleep"
            and ast.unparse(node) != "time.sleep(0)"
        ):
            yield node.lineno


def work_left_for_later(module: Module) -> Iterator[int]:
    """What is not done is an open issue, not a comment."""
    for number, line in enumerate(module.text.splitlines(), 1):
        if re.search(r"\b(TODO|FIXME|XXX|HACK)\b|raise NotImplementedError", line):
            yield number


def _named(node: ast.expr) -> str:
    match node:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name.lower()
        case ast.Call(func=ast.Attribute(attr="get_secret_value")):
            return "secret"
        case _:
            return ""


def _imports(module: Module, package: str) -> Iterator[int]:
    for name, line in imported(module.tree):
        if name == package or name.startswith(f"{package}."):
            yield line


Rule = Callable[[Module], Iterator[int]]
RULES: dict[Rule, list[str]] = {
    middleware_with_a_price: [
        "from starlette.middleware.base import BaseHTTPMiddleware",
        "import starlette.middleware.base as b\nclass M(b.BaseHTTPMiddleware): ...",
    ],
    jose_beside_its_door: ["import jose", "from jose import jwt", "from jose.jwt import decode"],
    the_engine_outside_its_room: ["import holmes", "def f():\n    from holmes.core import tools"],
    environment_read_in_passing: [
        "import os\nos.environ['X']",
        "import os\nos.getenv('X')",
        "from os import environ",
    ],
    secrets_compared_in_the_open: [
        "given == self._token",
        "if signature != expected: ...",
        "x = settings.api_key.get_secret_value() == given",
        "password == given",
    ],
    sleeping_threads: ["import time\ntime.sleep(1)", "from time import sleep"],
    work_left_for_later: ["x = 1  # TODO later", "def f():\n    raise NotImplementedError"],
}


EXCEPTIONS: dict[tuple[Rule, str], str] = {
    (environment_read_in_passing, "libs/storage/embedded/place.py"): (
        "XDG_RUNTIME_DIR is the login session's word to every program, and no setting of ours"
    ),
    (environment_read_in_passing, "services/holmesgpt_api/engine/confinement.py"): (
        "what the service lets the engine see, which is what the engine may read the files of"
    ),
    (environment_read_in_passing, "services/holmesgpt_api/engine/llm.py"): (
        "written, not read: the library looks for Ollama's address nowhere else, and the process is one run's own"
    ),
    (sleeping_threads, "libs/storage/embedded/remains.py"): (
        "waits, without a loop, for processes that are not its children: nothing can wake it"
    ),
    (secrets_compared_in_the_open, "libs/redaction/rules.py"): (
        "looks at the shape of what may be a password in a text; nobody is let in by it"
    ),
}
"""Rule and module to the reason why it may be broken there."""


def broken(rule: Rule) -> dict[str, list[int]]:
    found = {module.path: list(rule(module)) for module in modules()}
    return {path: lines for path, lines in found.items() if lines}


@pytest.mark.parametrize(
    ("rule", "sample"), [(rule, sample) for rule, samples in RULES.items() for sample in samples]
)
def test_a_rule_finds_its_fault(rule: Rule, sample: str):
    assert list(rule(Module("services/x/domain/y.py", sample)))


@pytest.mark.parametrize("rule", RULES)
def test_a_rule_leaves_innocent_code_alone(rule: Rule):
    innocent = (
        "import hmac\nfrom joserfc_like import jwt\n"
        "async def f(given, token, tokens):\n"
        "    if token == '' or len(tokens) == 2 or token is None: return hmac.compare_digest(given, token)\n"
        "    await clock.sleep(1)\n"
        "    time.sleep(0)\n"
    )

    assert not list(rule(Module("services/x/domain/y.py", innocent)))


@pytest.mark.parametrize("rule", RULES)
def test_the_source_keeps_the_rule(rule: Rule):
    faults = {path: lines for path, lines in broken(rule).items() if (rule, path) not in EXCEPTIONS}

    assert faults == {}, rule.__doc__


@pytest.mark.parametrize(("rule", "path"), EXCEPTIONS)
def test_an_exception_that_is_no_longer_needed_is_taken_back(rule: Rule, path: str):
    assert path in broken(rule)


def test_every_module_says_what_it_decides():
    silent = [
        module.path for module in modules() if not ast.get_docstring(module.tree) and module.text.strip()
    ]

    assert not silent

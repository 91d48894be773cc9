"""The toolset document with which a HolmesGPT that is not ours asks the Context API over HTTP. Pure.

Written for HolmesGPT 0.45 (`type: http`): one tool, GET alone, and only the paths of the table in `tools.py`.
"""

from __future__ import annotations

from typing import Any

import yaml

from libs.contracts.target import CLUSTER_SCOPE
from services.context_api.domain.tools import CITING, CONTEXT, TOOLS, Address

NAME = "kubernaut_context"
TOKEN = "KUBERNAUT_TOKEN"  # noqa: S105 - the name of a variable in HolmesGPT's own environment
"""HolmesGPT replaces `{{ env.NAME }}` when it loads the document, and refuses it when the variable is not set."""

TIMEOUT_S = 15
"""Above the Context API's own 10 s, so that its words arrive and not a broken connection."""

OPENING = "Read-only evidence about a Kubernetes cluster, ranked and without secrets. Ask in this order:"
SPELLING = (
    f"namespace: {CLUSTER_SCOPE} for objects that have none. kind: Kind, or Kind.group (Deployment.apps). What stands "
    "after ? is optional."
)

HEAD = f"""\
# A toolset for HolmesGPT 0.45 or later. The token stays out of this file: HolmesGPT reads it from the environment
# variable {TOKEN}. Load it as a custom toolset, or paste what follows into HolmesGPT's configuration.
"""


def render(base_url: str) -> str:
    """The document as YAML, for a service that is reached at `base_url`."""
    return HEAD + yaml.dump(
        document(base_url), Dumper=_Readable, sort_keys=False, allow_unicode=True, width=110
    )


class _Readable(yaml.SafeDumper):
    """Several lines stand as several lines: people read and change this file."""


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Readable.add_representer(str, _text)


def document(base_url: str) -> dict[str, Any]:
    base = base_url.rstrip("/")
    endpoint = {
        "hosts": [base],
        "paths": paths(),
        "methods": ["GET"],
        "auth": {"type": "bearer", "token": f"{{{{ env.{TOKEN} }}}}"},
        "health_check_url": f"{base}{CONTEXT}/health",
    }
    return {
        "toolsets": {
            NAME: {
                "type": "http",
                "enabled": True,
                "description": "Ranked causes, cited evidence, log lines and topology of a Kubernetes cluster",
                "llm_instructions": instructions(base),
                "config": {"timeout_seconds": TIMEOUT_S, "endpoints": [endpoint]},
            }
        }
    }


def paths() -> list[str]:
    """What HolmesGPT lets its model ask for: every part that varies is a star."""
    return [_pattern(address.path) for address in _addresses()]


def _pattern(path: str) -> str:
    return "/".join("*" if part.startswith("{") else part for part in path.split("/"))


def instructions(base: str) -> str:
    """What the model is told: which paths there are, and in which order to use them."""
    lines = [
        f"{number}. GET {base}{_shown(address)}\n   {address.words}"
        for number, address in enumerate(_addresses(), 1)
    ]
    return "\n".join([OPENING, *lines, SPELLING, CITING])


def _addresses() -> list[Address]:
    return [address for tool in TOOLS.values() for address in tool.addresses]


def _shown(address: Address) -> str:
    return f"{address.path}?{address.query}" if address.query else address.path

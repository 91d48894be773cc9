"""Which processes make the product, and what each is told through its environment.

Pure: nothing is started here.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

# API and worker of one service keep two pools of 4, a group committer 2, the queue 2 and its listener 1.
CONNECTIONS = 13


@dataclass(frozen=True, slots=True)
class Service:
    """One service of the house and the ports it is known by."""

    name: str
    prefix: str
    """Environment prefix of its port settings, e.g. `ALERTS` for `ALERTS_PORT`."""
    port: int
    metrics_port: int
    has_worker: bool
    connections: int = CONNECTIONS
    """To the database, that its processes keep open at most."""


# It has two queues in its worker, triage's and the model's, so that neither holds up the other: pools of 4 and 4, queues
# and listeners 3 and 3, and two for processes that start while others end.
TWO_QUEUES = 17

SERVICES = (
    Service("context_api", "CONTEXT_API", 8091, 9092, has_worker=False),
    Service("notifications", "NOTIFICATIONS", 8093, 9094, has_worker=True),
    Service("holmesgpt_api", "HOLMESGPT", 8090, 9091, has_worker=True, connections=TWO_QUEUES),
    Service("alerts", "ALERTS", 8092, 9093, has_worker=True),
)

CONNECTION_LIMITS = {service.name: service.connections for service in SERVICES}
"""Each service's role in the embedded database, and how many connections it may have at once."""

PEER_URLS = {
    "context_api": "KUBERNAUT_CONTEXT_API_URL",
    "holmesgpt_api": "KUBERNAUT_HOLMESGPT_URL",
    "notifications": "KUBERNAUT_NOTIFICATIONS_URL",
    "alerts": "KUBERNAUT_ALERTS_URL",
}

TLS_FILES = frozenset({"TLS_CERT_FILE", "TLS_KEY_FILE"})
"""A service's settings for TLS at its ports."""

WORKER_METRICS_OFFSET = 100
"""A worker's metrics port stands this far above its API's, so that both can be scraped on one machine."""


class BadPort(ValueError):
    """A port setting is no port."""


@dataclass(frozen=True, slots=True)
class Process:
    """One process to run: `python -m <module>` in one role."""

    name: str
    module: str
    service: Service
    role: str
    environment: Mapping[str, str] = field(repr=False)
    port: int | None
    """The port its API listens on; None for a worker."""

    @property
    def url(self) -> str | None:
        return f"http://127.0.0.1:{self.port}" if self.port else None


def port_of(service: Service, environment: Mapping[str, str]) -> int:
    """The API port: `<PREFIX>_PORT`, or the service's own default.

    Raises:
        BadPort: the variable holds no number from 1 to 65535.
    """
    return _port(f"{service.prefix}_PORT", service.port, environment)


def _port(name: str, default: int, environment: Mapping[str, str]) -> int:
    text = environment.get(name, str(default))
    if not text.isdecimal() or not 1 <= int(text) <= 65_535:
        raise BadPort(f"{name}={text!r} is no port: give a number from 1 to 65535")
    return int(text)


def processes(
    environment: Mapping[str, str],
    *,
    keys_file: Path,
    database_urls: Mapping[str, str],
    recording: Path,
) -> list[Process]:
    """Every process of the stack, APIs before workers, in the order they should start.

    Args:
        environment: the supervisor's own; passed on, so that any setting can be given to `kubernaut run`.
        database_urls: service name -> URL; each service owns a schema.

    Raises:
        BadPort: a port setting is no port.
    """
    ports = {service.name: port_of(service, environment) for service in SERVICES}
    shared = {
        # They speak plain HTTP on loopback; one machine's certificate for them all would not name 127.0.0.1.
        **{name: value for name, value in environment.items() if name not in TLS_FILES},
        "AUTH_KEYS_FILE": str(keys_file),
        # Curl from this machine works without a key: for everybody on it, so on a shared machine set
        # TRUSTED_NETWORKS='{}'. An operator's own setting wins.
        "TRUSTED_NETWORKS": environment.get("TRUSTED_NETWORKS", LOOPBACK),
        "HOST": environment.get("HOST", "127.0.0.1"),
        "LOG_FORMAT": environment.get("LOG_FORMAT", "json"),
        # The supervisor passes its worker's standard output on to a person.
        "CONSOLE_JSON": environment.get("CONSOLE_JSON", "false"),
        **{PEER_URLS[name]: f"http://127.0.0.1:{port}" for name, port in ports.items()},
    }
    apis: list[Process] = []
    workers: list[Process] = []
    for service in SERVICES:
        metrics_port = _port(f"{service.prefix}_METRICS_PORT", service.metrics_port, environment)
        own = _told(shared, service)
        own["DATABASE_URL"] = database_urls[service.name]
        if service.name == "context_api" and not _is_live(environment):
            own.setdefault("RECORDED_CLUSTER", str(recording))
        roles = ("api", "worker") if service.has_worker else ("api",)
        for role in roles:
            is_api = role == "api"
            process = Process(
                name=f"{service.name.replace('_', '-')} {role}",
                module=f"services.{service.name}",
                service=service,
                role=role,
                port=ports[service.name] if is_api else None,
                environment={
                    **own,
                    "KUBERNAUT_ROLE": role,
                    f"{service.prefix}_PORT": str(ports[service.name]),
                    f"{service.prefix}_METRICS_PORT": str(
                        metrics_port + (0 if is_api else WORKER_METRICS_OFFSET)
                    ),
                },
            )
            (apis if is_api else workers).append(process)
    return apis + workers


def _is_live(environment: Mapping[str, str]) -> bool:
    """Whether an operator wants a live cluster; the bundled recording would exclude it."""
    in_cluster = environment.get("EVIDENCE_IN_CLUSTER", "").lower() in ("1", "true", "yes", "on", "t", "y")
    return in_cluster or bool(environment.get("EVIDENCE_KUBECONFIG"))


def _told(shared: Mapping[str, str], service: Service) -> dict[str, str]:
    """A model's key is for the service that asks the model."""
    own = dict(shared)
    if service.name != "holmesgpt_api":
        own.pop(MODEL_KEY, None)
    return own


MODEL_KEY = "HOLMESGPT_LLM_API_KEY"

LOOPBACK = json.dumps(
    {
        network: {"principal": "loopback", "roles": ["operator"], "tenant": "default"}
        for network in ("127.0.0.0/8", "::1/128")
    }
)

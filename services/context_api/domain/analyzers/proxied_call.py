"""Calls inside the cluster that go out through a proxy, since the list of exceptions does not name their host.

Sees HTTP_PROXY, HTTPS_PROXY, ALL_PROXY and NO_PROXY of a workload, written in it or taken from ConfigMaps, and complaints
in its log about a Service whose name no exception covers. Surer where the complaint's line, or the log of the proxy
itself, speaks of that call. Variables are read at a start: an edit that no pod has started after is no reason.
Cannot see variables that lie in Secrets or are set by an image, nor clients that do not honour them.

Rests on: https://pkg.go.dev/golang.org/x/net/http/httpproxy#Config, https://wiki.squid-cache.org/SquidFaq/SquidLogs.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from libs.contracts.causes import FindingSeverity
from services.context_api.domain import evidence, remedies
from services.context_api.domain.changes import SETTLING, last_edit, writer_of
from services.context_api.domain.dependencies import PODS_READ, Spoken
from services.context_api.domain.edits import recorded_changes
from services.context_api.domain.focus import outspoken
from services.context_api.domain.kube import containers, entries, flat, mapping, pod_spec, text
from services.context_api.domain.logs import cut, last_lines, quote
from services.context_api.domain.names import hosts_in
from services.context_api.domain.observation import AGAINST, Depth, Explains, Observation
from services.context_api.domain.proxy_env import EXCEPTIONS, PROXIES, excepted
from services.context_api.domain.redact import redact
from services.context_api.domain.scene import Scene
from services.context_api.domain.snapshot import KubeObject, once
from services.context_api.domain.wording import clock, name_of

NAME = "proxied_call"
_WANTED = frozenset({*PROXIES, EXCEPTIONS})
SEEN, SUPPOSED = 0.92, 0.6
"""A line speaks of the proxy, or the proxy of the call; only the settings say so."""

HEARD = 0.85
"""How surely it is why the proxy's log is full of refusals."""

_OF_A_PROXY = re.compile(
    r"squid|proxyconnect|\bproxy\b|\b407\b|x[-_]cache\b|tunnel(?:ing|l?ed)? socket|via: ", re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class _Setting:
    """A variable as a container gets it."""

    value: str
    holder: KubeObject
    """Who would have to change: the ConfigMap, else the workload."""
    where: str


def explain(scene: Scene, seen: Sequence[Observation]) -> Iterator[Observation]:
    """One observation per holder of a list of exceptions that leaves out a Service its users ask in vain."""
    told: set[int] = set()
    for top in _callers(scene, seen):
        for workload in scene.graph.workloads_of(top):
            given = _variables(scene, workload)
            proxy = next((given[name] for name in PROXIES if name in given and given[name].value), None)
            if proxy is None:
                continue
            holder = given.get(EXCEPTIONS, proxy)
            said = _through_it(scene, top, given, proxy)
            if said is not None and id(holder.holder) not in told and _in_effect(scene, top, holder.holder):
                told.add(id(holder.holder))
                yield _observation(scene, top, said, given, proxy, holder)


def _callers(scene: Scene, seen: Sequence[Observation]) -> list[KubeObject]:
    """Whom the alert leads to; and where it leads to a proxy, whoever is set to use that."""
    tops = {id(t): t for t in outspoken(scene, seen)}
    asked = set(tops)
    for workload in scene.graph.workloads:
        given = _variables(scene, workload)
        if any(
            id(p) in asked for name in PROXIES if name in given for p in _behind(scene, workload, given[name])
        ):
            tops.setdefault(id(scene.graph.top(workload)), scene.graph.top(workload))
    return list(tops.values())


def _behind(scene: Scene, user: KubeObject, proxy: _Setting) -> list[KubeObject]:
    """The workloads of a proxy that runs in the cluster."""
    services = [
        scene.graph.names.find(host.name, user.namespace) for host in hosts_in(proxy.value, key="proxy")
    ]
    return [top for service in services if service is not None for top in scene.deps.behind(service)]


@once
def _may_name_one(workload: KubeObject) -> bool:
    """Whether a container has such a variable, or takes all keys of something."""
    return any(
        container.get("envFrom")
        or any(text(one.get("name")).upper() in _WANTED for one in entries(container.get("env")))
        for container in containers(pod_spec(workload))
    )


def _variables(scene: Scene, workload: KubeObject) -> dict[str, _Setting]:
    """The proxy variables by their name in capitals; what stands in the container itself goes before its ConfigMaps."""
    found: dict[str, _Setting] = {}
    if not _may_name_one(workload):
        return found

    def keep(key: str, value: str, holder: KubeObject, where: str) -> None:
        if key.upper() in _WANTED:
            found.setdefault(key.upper(), _Setting(value, holder, where))

    for container in containers(pod_spec(workload)):
        name = text(container.get("name"))
        for variable in entries(container.get("env")):
            key, chosen = (
                text(variable.get("name")),
                mapping(mapping(variable.get("valueFrom")).get("configMapKeyRef")),
            )
            config = (
                scene.graph.get("ConfigMap", workload.namespace, text(chosen.get("name"))) if chosen else None
            )
            if config is not None:
                value = flat(config.body.get("data")).get(text(chosen.get("key")), "")
                keep(key, value, config, f"key {text(chosen.get('key'))} of {name_of(config)}")
            elif not variable.get("valueFrom"):
                keep(
                    key,
                    text(variable.get("value")),
                    scene.graph.top(workload),
                    f"env {key} of container {name}",
                )
        # Of several sources the last one that has a key counts.
        for source in reversed(entries(container.get("envFrom"))):
            config = scene.graph.get(
                "ConfigMap", workload.namespace, text(mapping(source.get("configMapRef")).get("name"))
            )
            if config is None:
                continue
            for key, value in flat(config.body.get("data")).items():
                keep(
                    text(source.get("prefix")) + key,
                    value,
                    config,
                    f"key {key} of {name_of(config)} (envFrom of container {name})",
                )
    return found


def _through_it(scene: Scene, top: KubeObject, given: dict[str, _Setting], proxy: _Setting) -> Spoken | None:
    """A complaint about a Service that the list of exceptions does not name; never one about the proxy itself."""
    exceptions = given[EXCEPTIONS].value if EXCEPTIONS in given else ""
    own = {host.name for host in hosts_in(proxy.value, key="proxy")}
    for said in scene.deps.spoken(top):
        if said.host is None or said.found is None or said.found.kind != "Service" or said.host.name in own:
            continue
        if "http" in said.line.lower() and not excepted(said.host.name, said.host.port, exceptions):
            return said
    return None


def _in_effect(scene: Scene, top: KubeObject, holder: KubeObject) -> bool:
    """Whether a pod was made after the list was written last."""
    edit = last_edit(holder)
    if edit is None or holder.kind != "ConfigMap":
        return True
    return any(
        p.created_at is not None and p.created_at >= edit.at - SETTLING for p in scene.graph.pods_of(top)
    )


def _heard_by(scene: Scene, top: KubeObject, proxy: _Setting, host: str) -> str:
    """The line with which the proxy tells of a call to that host."""
    for behind in _behind(scene, top, proxy):
        for pod in scene.graph.pods_of(behind)[:PODS_READ]:
            for log in scene.snapshot.logs_of(pod.namespace, pod.name):
                line = next((one for one in reversed(last_lines(log.text)) if host in one), "")
                if line:
                    return quote(line)
    return ""


def _observation(
    scene: Scene, top: KubeObject, said: Spoken, given: dict[str, _Setting], proxy: _Setting, holder: _Setting
) -> Observation:
    host = said.host.name if said.host is not None else ""
    heard = _heard_by(scene, top, proxy, host)
    certain = SEEN if heard or _OF_A_PROXY.search(said.line) else SUPPOSED
    listed = f"lists `{cut(given[EXCEPTIONS].value, 200)}`" if EXCEPTIONS in given else "is not set"
    about, edit = holder.holder, last_edit(holder.holder)
    owned = writer_of(about, f"data.{EXCEPTIONS}") or edit
    words = (
        f"{EXCEPTIONS} of {name_of(top)} {listed} ({holder.where}) and does not except {host}: calls of it go through the proxy "
        f"`{cut(redact(proxy.value), 120)}`: `{quote(said.line)}`"
    )
    changes = [str(c) for c in recorded_changes(scene, about)] if about.kind == "ConfigMap" else []
    if owned is not None and edit is not None:
        words += f"; {name_of(about)} was edited at {clock(owned.at)} by {owned.by}"
        words += f" ({'; '.join(changes[:3])})" if changes else ""
        words += ", and pods read it when they start"
    words += f"; the proxy's log: `{heard}`" if heard else ""
    restart = scene.graph.workloads_of(top)[0] if about.kind == "ConfigMap" else None
    return Observation(
        about=about,
        reason="ProxyNotExcepted",
        text=words,
        severity=FindingSeverity.critical,
        analyzer=NAME,
        depth=Depth.mechanism,
        certainty=certain,
        facts=(
            evidence.field(
                about,
                f"data.{EXCEPTIONS}",
                given[EXCEPTIONS].value if EXCEPTIONS in given else "",
                words[:300],
            ),
            evidence.log_line(said.pod, said.container, said.line, said.count),
        ),
        basis=(
            "the variables that its program was started with, beside the host that it complains about",
            "a log tells that the proxy answered"
            if certain == SEEN
            else f"{AGAINST}no line speaks of the proxy",
        ),
        onset=edit.at if edit is not None else None,
        remediation=remedies.edit(
            about,
            f"Add {host} (or the cluster's domain) to {EXCEPTIONS} in {name_of(about)}.",
            restart=restart,
        ),
        explains=(
            Explains(top, 0.95, "its calls go through the proxy", deepest=Depth.process),
            *(
                Explains(one, HEARD, "it is sent calls that are not for it", deepest=Depth.process)
                for one in (_behind(scene, top, proxy) if heard else ())
            ),
        ),
    )

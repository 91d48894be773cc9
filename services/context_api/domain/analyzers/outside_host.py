"""Hosts outside the cluster that fail a workload which nobody changed, and the setting that names them.

Sees, in the logs of failing workloads and of those an alert leads to, complaints about hosts that are no Service of this
cluster, beside what names them: an ExternalName Service, a key of a ConfigMap, an environment variable, and a pod's own
hosts file (`hostAliases`), which keeps the address that a name had when somebody wrote it down. That is what a person can
change here; the host itself is somebody else's. An answer (503, 403, 429, a certificate) is surer than silence.
Latent. Silent where several hosts outside give no answer or no address: then the way out is broken, not they; and where
the complaining workload was itself rolled out just before.
Cannot see the host, nor settings in Secrets.

Rests on: https://kubernetes.io/docs/concepts/services-networking/service/#externalname,
https://kubernetes.io/docs/tasks/network/customize-hosts-file-for-pods/.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from libs.contracts.causes import FindingSeverity
from services.context_api.domain import evidence, remedies
from services.context_api.domain.dependencies import Spoken
from services.context_api.domain.focus import concerned
from services.context_api.domain.kube import containers, entries, listing, pod_spec, strings, text
from services.context_api.domain.logs import cut
from services.context_api.domain.observation import Depth, Explains, Observation
from services.context_api.domain.redact import sensitive
from services.context_api.domain.scene import Scene
from services.context_api.domain.snapshot import KubeObject
from services.context_api.domain.trouble import Trouble, troubles
from services.context_api.domain.uses import values_of
from services.context_api.domain.wording import name_of

NAME = "outside_host"
_PINNED = 0.64
"""An address that somebody wrote down is not what the name's owner says today: surer than mere silence."""

_FAILING = frozenset({"pod_crash_loop", "probe_failure", "init_waiting", "rollout_stuck", "log_errors"})
_ANSWERED = frozenset({"http", "auth", "tls"})
_STATUS = re.compile(r"(?<![\d.:-])([45]\d\d)(?: [A-Z][\w-]+(?: [A-Z]\w+){0,3})?(?![\d.])")
_NO_ADDRESS = re.compile(
    r"no such host|ENOTFOUND|NXDOMAIN|unknown ?host|name or service not known", re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class _Setting:
    """What names a host: the object a person would change, where in it, and what stands there."""

    holder: KubeObject
    where: str


@dataclass(frozen=True, slots=True)
class _Lead:
    top: KubeObject
    host: str
    said: Spoken
    setting: _Setting


def explain(scene: Scene, seen: Sequence[Observation]) -> Iterator[Observation]:
    """One observation per setting whose host fails somebody."""
    rolled_out = {id(t.top) for t in troubles(scene, seen) if _rolled_out(scene, t)}
    found: dict[tuple[int, str], list[_Lead]] = {}
    for top in concerned(scene, [o for o in seen if o.analyzer in _FAILING]):
        # A complaint of an hour ago is no trouble: something must be seen of it now.
        if id(top) in rolled_out or not any(o.about is top and o.depth < Depth.mechanism for o in seen):
            continue
        for host, said in _outside(scene, top):
            setting = _named_by(scene, top, host)
            if setting is not None:
                found.setdefault((id(setting.holder), host), []).append(_Lead(top, host, said, setting))
    for leads in found.values():
        yield _observation(leads)


def _rolled_out(scene: Scene, trouble: Trouble) -> bool:
    rollouts = [scene.rollouts.of(w) for w in scene.graph.workloads_of(trouble.top)]
    return any(r is not None and trouble.recent(scene, r.at) for r in rollouts)


def _outside(scene: Scene, top: KubeObject) -> list[tuple[str, Spoken]]:
    """Hosts outside that its log complains about, each with the line that says most."""
    best: dict[str, Spoken] = {}
    for said in scene.deps.spoken(top):
        host = _outer_name(scene, top, said)
        if host and (host not in best or (said.trouble in _ANSWERED) > (best[host].trouble in _ANSWERED)):
            best[host] = said
    silent = [h for h, said in best.items() if said.trouble not in _ANSWERED]
    if len(silent) > 1:
        best = {h: said for h, said in best.items() if h not in silent}
    # Names that cannot be looked up at all are cluster DNS's; one that does not exist is its own.
    return [(h, s) for h, s in best.items() if not _is_lookup(s) or _NO_ADDRESS.search(s.line)]


def _is_lookup(said: Spoken) -> bool:
    return said.trouble == "dns" or re.search(r"\blookup [\w.-]+ on ", said.line) is not None


def _aliases(scene: Scene, top: KubeObject) -> Iterator[tuple[str, str]]:
    """(address, name) of the hosts files of its pods."""
    for workload in scene.graph.workloads_of(top):
        for alias in entries(pod_spec(workload).get("hostAliases")):
            for name in strings(alias.get("hostnames")):
                yield text(alias.get("ip")), name


def _outer_name(scene: Scene, top: KubeObject, said: Spoken) -> str:
    if said.found is None and said.host is not None:
        # Who dials an address from its hosts file complains of the address.
        for address, alias in _aliases(scene, top):
            if said.host.name in (address, alias):
                return alias
    if said.found is not None:
        return (
            text(said.found.spec.get("externalName")) if said.found.spec.get("type") == "ExternalName" else ""
        )
    name = said.host.name if said.host is not None else ""
    inside = (
        "." not in name or name.replace(".", "").isdigit() or name.endswith((".svc", ".local", ".internal"))
    )
    return "" if inside or scene.graph.names.place(name, top.namespace) is not None else name


def _named_by(scene: Scene, top: KubeObject, host: str) -> _Setting | None:
    """Who names the host: an ExternalName Service of its namespace, a ConfigMap it reads, its own environment."""
    for address, name in _aliases(scene, top):
        if name == host:
            return _Setting(scene.graph.top(top), f"hostAliases ({name} is {address})")
    for service in scene.graph.services_in(top.namespace):
        if text(service.spec.get("externalName")).rstrip(".") == host:
            return _Setting(service, "spec.externalName")
    whole = re.compile(rf"(?<![\w.-]){re.escape(host)}(?![\w-]|\.\w)")
    for workload in scene.graph.workloads_of(top):
        for _, config, key, value in values_of(scene.graph, workload):
            if not sensitive(key) and whole.search(value[:65536]):
                return _Setting(config, f"key {key}{_row(value, whole)}")
        for container in containers(pod_spec(workload)):
            for variable in entries(container.get("env")):
                if whole.search(text(variable.get("value"))):
                    name = f"env {text(variable.get('name'))} of container {text(container.get('name'))}"
                    return _Setting(scene.graph.top(workload), name)
    return None


def _row(value: str, whole: re.Pattern[str]) -> str:
    """Of a file, the setting in it that names the host."""
    rows = value.strip().splitlines()
    row = next((r.strip() for r in rows if whole.search(r) and not r.lstrip().startswith("#")), "")
    name = re.split(r"[=: ]", row, maxsplit=1)[0].strip("\"'")
    return f" ({name})" if len(rows) > 1 and name else ""


def _observation(leads: list[_Lead]) -> Observation:
    lead = leads[0]
    said, holder = lead.said, lead.setting.holder
    answered, pinned = said.trouble in _ANSWERED, lead.setting.where.startswith("hostAliases")
    others = [name_of(one.top) for one in leads[1:]]
    words = (
        f"{lead.setting.where} of {name_of(holder)} names {lead.host}, a host outside the cluster, which {_does(said)} when "
        f"{name_of(lead.top)} calls it: `{cut(said.line, 300)}`"
    )
    words += f"; {listing(others, 3)} complain alike" if others else ""
    return Observation(
        about=holder,
        reason="OutsideHostFails",
        text=words,
        severity=FindingSeverity.warning,
        analyzer=NAME,
        depth=Depth.mechanism,
        certainty=min((0.72 if answered else _PINNED if pinned else 0.55) + 0.05 * len(others), 0.85),
        facts=(
            evidence.field(holder, lead.setting.where, lead.host, f"{name_of(holder)} names {lead.host}"),
            *(evidence.log_line(k.said.pod, k.said.container, k.said.line, k.said.count) for k in leads[:3]),
        ),
        basis=(
            "a client's log complains about the host, and this names it",
            "nobody rolled the client out just before",
            "the host answers, so the way to it is well" if answered else "against it: no answer says that it is the host",
        ),
        remediation=remedies.edit(
            holder, f"Ask who runs {lead.host}; until it is well, let {lead.setting.where} of {name_of(holder)} name another, or let clients do without."
        ),
        explains=tuple(
            Explains(one.top, 0.85 if answered else 0.7, f"{lead.host} fails it", deepest=Depth.process) for one in leads
        ),
        latent=True,
    )  # fmt: skip


def _does(said: Spoken) -> str:
    status = _STATUS.search(said.line)
    if said.trouble in ("http", "auth") and status is not None:
        return f"answers {status[0]}"
    return {
        "http": "answers with an error",
        "auth": "refuses the credentials",
        "tls": "has a certificate that is not accepted",
        "dns": "has no address",
        "refused": "refuses connections",
    }.get(said.trouble, "does not answer")

"""The programs on the nodes that carry calls between pods.

Decides who carries: a DaemonSet in the nodes' own network that its installer ranks as critical for its node, which is how
kube-proxy, what stands for it, and network plugins are installed. Whether one is well, and whose calls go astray, is not
asked here.

Rests on: https://kubernetes.io/docs/concepts/scheduling-eviction/pod-priority-preemption/ (system-node-critical),
https://kubernetes.io/docs/reference/networking/virtual-ips/,
https://kubernetes.io/docs/concepts/extend-kubernetes/compute-storage-net/network-plugins/.
"""

from __future__ import annotations

from services.context_api.domain.graph import Graph
from services.context_api.domain.kube import pod_spec, text
from services.context_api.domain.snapshot import KubeObject

_CRITICAL = "system-node-critical"


def carriers(graph: Graph) -> list[KubeObject]:
    """Their uppermost owners, each once."""
    found = [
        graph.top(workload)
        for workload in graph.of_kind("DaemonSet")
        if pod_spec(workload).get("hostNetwork") is True
        and text(pod_spec(workload).get("priorityClassName")) == _CRITICAL
    ]
    return list({id(top): top for top in found}.values())

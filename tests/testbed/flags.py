"""How each program of the control plane is told to run: everything on loopback, below one directory."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

SERVICES = "10.96.0.0/16"

KWOK_NODE = "kwok.x-k8s.io/node"
"""Annotation of the nodes that KWOK plays."""


def certificate(directory: Path) -> Path:
    """The server's, which it signs itself: also the authority that clients trust."""
    return directory / "certificates" / "apiserver.crt"


def etcd(directory: Path, client: str, peer: str) -> Sequence[str]:
    return [
        f"--data-dir={directory / 'etcd'}",
        "--unsafe-no-fsync",
        f"--listen-client-urls={client}",
        f"--advertise-client-urls={client}",
        f"--listen-peer-urls={peer}",
        f"--initial-advertise-peer-urls={peer}",
        f"--initial-cluster=default={peer}",
        "--log-level=warn",
    ]


def apiserver(directory: Path, etcd: str, port: int, advertised: str) -> Sequence[str]:
    return [
        f"--etcd-servers={etcd}",
        "--bind-address=127.0.0.1",
        f"--secure-port={port}",
        f"--advertise-address={advertised}",
        f"--cert-dir={directory / 'certificates'}",
        f"--token-auth-file={directory / 'tokens.csv'}",
        "--authorization-mode=RBAC",
        "--service-account-issuer=https://kubernetes.default.svc",
        f"--service-account-signing-key-file={directory / 'accounts.key'}",
        f"--service-account-key-file={directory / 'accounts.key'}",
        f"--service-cluster-ip-range={SERVICES}",
        # Webhooks are asked at their Service's endpoints, as where no kube-proxy runs beside the API server. Otherwise
        # it would dial the Service's address, and whatever answers on this machine's network ends in recordings.
        "--enable-aggregator-routing=true",
        "--allow-privileged=true",
        "--profiling=false",
        # Readable in etcd, so that `clock.py` can let time pass.
        "--storage-media-type=application/json",
    ]


def controller_manager(directory: Path, controllers: Sequence[str]) -> Sequence[str]:
    return [
        f"--controllers={','.join(controllers)}",
        f"--kubeconfig={directory / 'controller-manager.kubeconfig'}",
        # Without it StatefulSets stay without pods: the manager's own user may not make them.
        "--use-service-account-credentials=true",
        f"--service-account-private-key-file={directory / 'accounts.key'}",
        f"--root-ca-file={certificate(directory)}",
        "--leader-elect=false",
        "--secure-port=0",
        "--profiling=false",
        "--pvclaimbinder-sync-period=1s",  # a volume that a test makes is otherwise seen after up to 15 s
        # Nodes that no program plays send no heartbeat; a test that wants a lost node says so in its conditions.
        "--node-monitor-grace-period=24h",
    ]


def scheduler(directory: Path) -> Sequence[str]:
    return [
        f"--kubeconfig={directory / 'scheduler.kubeconfig'}",
        "--leader-elect=false",
        "--secure-port=0",
        "--profiling=false",
    ]


def kwok(directory: Path, port: int, stages: Sequence[Path]) -> Sequence[str]:
    return [
        f"--kubeconfig={directory / 'kwok.kubeconfig'}",
        "--manage-all-nodes=false",
        f"--manage-nodes-with-annotation-selector={KWOK_NODE}=fake",
        f"--server-address=127.0.0.1:{port}",
        *(f"--config={stage}" for stage in stages),
    ]

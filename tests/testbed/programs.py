"""Which programs the test bed consists of, and where they lie on this machine.

A cache folder of the user's, named after the content of `go.mod` and `go.sum`: other versions are another folder.
`KUBEBUILDER_ASSETS`, when set, is taken instead, as it is.
"""

from __future__ import annotations

import hashlib
import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
PACKAGES: Mapping[str, str] = {
    "etcd": "go.etcd.io/etcd/server/v3",
    "kube-apiserver": "k8s.io/kubernetes/cmd/kube-apiserver",
    "kube-controller-manager": "k8s.io/kubernetes/cmd/kube-controller-manager",
    "kube-scheduler": "k8s.io/kubernetes/cmd/kube-scheduler",
    "kubectl": "k8s.io/kubernetes/cmd/kubectl",
    "kwok": "sigs.k8s.io/kwok/cmd/kwok",
    "helm": "helm.sh/helm/v4/cmd/helm",
}
"""Program -> Go package, in the order in which they are built: what is built first is of use to the later ones."""

STAGES = "kwok-stages"
"""Folder beside the programs: what KWOK does to nodes, pods and volumes, from KWOK's own module."""

REMEDY = "run: make testbed"


class NotBuilt(Exception):
    """The test bed's programs are not there; the message says which, and what to do."""


@dataclass(frozen=True, slots=True)
class Programs:
    """A folder that should hold every program."""

    folder: Path
    given: bool = False
    """Named by KUBEBUILDER_ASSETS, so not ours to fill."""

    def path(self, name: str) -> Path:
        return self.folder / name

    @property
    def stages(self) -> Sequence[Path]:
        return sorted((self.folder / STAGES).glob("*.yaml"))

    def missing(self) -> Sequence[str]:
        """Names of what is not there."""
        absent = [name for name in PACKAGES if not os.access(self.path(name), os.X_OK)]
        return absent if self.stages else [*absent, f"{STAGES}/*.yaml"]

    def reason(self) -> str:
        """Why they cannot be used, with the remedy; empty when they can."""
        missing = ", ".join(self.missing())
        if missing and self.given:
            return f"KUBEBUILDER_ASSETS={self.folder} lacks {missing}; add them, or unset it and {REMEDY}"
        return f"the test bed is not built ({missing} not in {self.folder}); {REMEDY}" if missing else ""

    def required(self) -> Programs:
        """These, or NotBuilt."""
        if reason := self.reason():
            raise NotBuilt(reason)
        return self


def find(environment: Mapping[str, str] = os.environ, *, modules: Path = HERE) -> Programs:
    """Where the programs are, or would be once they are built."""
    if assets := environment.get("KUBEBUILDER_ASSETS"):
        return Programs(Path(assets).absolute(), given=True)
    return Programs(cache(environment) / f"testbed-{fingerprint(modules)}")


def cache(environment: Mapping[str, str] = os.environ) -> Path:
    """`KUBERNAUT_CACHE`, else the user's cache directory."""
    if given := environment.get("KUBERNAUT_CACHE"):
        return Path(given).absolute()
    base = environment.get("XDG_CACHE_HOME") or Path(environment.get("HOME") or Path.home()) / ".cache"
    return Path(base).absolute() / "kubernaut"


def fingerprint(modules: Path = HERE) -> str:
    """Changes with every version of every module, and with the kind of machine."""
    content = b"".join((modules / name).read_bytes() for name in ("go.mod", "go.sum"))
    machine = f"{platform.system()}-{platform.machine()}".lower()
    return f"{hashlib.sha256(content).hexdigest()[:16]}-{machine}"

"""The test bed: a real Kubernetes control plane on loopback, without containers.

kube-apiserver with etcd, kube-controller-manager, kube-scheduler, KWOK (which plays the kubelets), kubectl and
Helm. `programs.py` knows where they lie, `build.py` builds them once from `go.mod`, `cluster.py` runs one control
plane, `kubelet.py` reports what a kubelet would on nodes that KWOK leaves alone, `clock.py` lets time pass.
Nothing of the product imports this.
"""

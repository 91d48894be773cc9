"""A chart's new version pins a user id that the namespace's constraint does not allow; old pods still serve."""

from __future__ import annotations

from functools import partial

from tests.incidents.incident import Half, Incident, Trait
from tests.incidents.stage import Body, Stage

INCIDENT = Incident(
    title="A rollout that pins user 1001 is refused by every security context constraint",
    half=Half.blind,
    story="Chart 4.0 of the ledger sets runAsUser and fsGroup 1001. On OpenShift its service account may use "
    "restricted-v2 alone, whose ids come from the namespace's range, so no pod of the new ReplicaSet is made. In "
    "another namespace an HTTPRoute has named a Service that is gone since the same morning.",
    sources=[
        "https://docs.openshift.com/container-platform/4.16/authentication/managing-security-context-constraints.html",
        "https://github.com/pulp/pulp-operator/issues/1319",
        "https://gateway-api.sigs.k8s.io/reference/spec/#httproute",
    ],
    labels={
        "alertname": "KubeDeploymentRolloutStuck",
        "namespace": "accounting",
        "deployment": "ledger",
        "job": "kube-state-metrics",
        "severity": "warning",
    },
    causes=["Deployment/accounting/ledger"],
    says=[["security context constraint", "SCC"], ["1001"]],
    second=["HTTPRoute/storefront/reviews"],
    traits=frozenset({Trait.two_faults}),
    authored=[
        "security context constraints",
        "scc admission and its events",
        "gateway status",
        "httproute status",
    ],
)

NAMESPACE = """
apiVersion: v1
kind: Namespace
metadata:
  name: accounting
  annotations:
    openshift.io/sa.scc.mcs: s0:c27,c14
    openshift.io/sa.scc.supplemental-groups: 1000740000/10000
    openshift.io/sa.scc.uid-range: 1000740000/10000
---
apiVersion: v1
kind: Namespace
metadata:
  name: storefront
  annotations:
    openshift.io/sa.scc.mcs: s0:c28,c2
    openshift.io/sa.scc.supplemental-groups: 1000770000/10000
    openshift.io/sa.scc.uid-range: 1000770000/10000
"""

CONSTRAINTS = """
apiVersion: security.openshift.io/v1
kind: SecurityContextConstraints
metadata:
  name: restricted-v2
  annotations: {include.release.openshift.io/self-managed-high-availability: "true"}
allowHostDirVolumePlugin: false
allowHostNetwork: false
allowPrivilegeEscalation: false
allowPrivilegedContainer: false
allowedCapabilities: [NET_BIND_SERVICE]
fsGroup: {type: MustRunAs}
groups: []
requiredDropCapabilities: [ALL]
runAsUser: {type: MustRunAsRange}
seLinuxContext: {type: MustRunAs}
seccompProfiles: [runtime/default]
supplementalGroups: {type: RunAsAny}
users: []
volumes: [configMap, csi, downwardAPI, emptyDir, ephemeral, persistentVolumeClaim, projected, secret]
---
apiVersion: security.openshift.io/v1
kind: SecurityContextConstraints
metadata: {name: nonroot-v2}
allowPrivilegeEscalation: false
allowPrivilegedContainer: false
fsGroup: {type: RunAsAny}
groups: []
requiredDropCapabilities: [ALL]
runAsUser: {type: MustRunAsNonRoot}
seLinuxContext: {type: MustRunAs}
supplementalGroups: {type: RunAsAny}
users: []
volumes: [configMap, csi, downwardAPI, emptyDir, ephemeral, persistentVolumeClaim, projected, secret]
---
apiVersion: security.openshift.io/v1
kind: SecurityContextConstraints
metadata: {name: anyuid}
allowPrivilegeEscalation: true
allowPrivilegedContainer: false
fsGroup: {type: RunAsAny}
groups: [system:cluster-admins]
priority: 10
requiredDropCapabilities: [MKNOD]
runAsUser: {type: RunAsAny}
seLinuxContext: {type: MustRunAs}
supplementalGroups: {type: RunAsAny}
users: []
volumes: [configMap, csi, downwardAPI, emptyDir, ephemeral, persistentVolumeClaim, projected, secret]
"""

LEDGER = """
apiVersion: v1
kind: ServiceAccount
metadata: {name: ledger, namespace: accounting}
---
apiVersion: apps/v1
kind: Deployment
metadata:
  name: ledger
  namespace: accounting
  labels: {app.kubernetes.io/name: ledger, helm.sh/chart: ledger-3.8.2, app.kubernetes.io/managed-by: Helm}
spec:
  replicas: 4
  selector: {matchLabels: {app.kubernetes.io/name: ledger}}
  template:
    metadata: {labels: {app.kubernetes.io/name: ledger}}
    spec:
      serviceAccountName: ledger
      containers:
      - name: ledger
        image: registry.example.com/accounting/ledger:3.8.2
        ports: [{containerPort: 8080}]
        securityContext: {allowPrivilegeEscalation: false, runAsNonRoot: true, capabilities: {drop: [ALL]}}
        volumeMounts: [{name: spool, mountPath: /var/spool/ledger}]
      volumes: [{name: spool, emptyDir: {}}]
---
apiVersion: v1
kind: Service
metadata: {name: ledger, namespace: accounting}
spec:
  selector: {app.kubernetes.io/name: ledger}
  ports: [{name: http, port: 80, targetPort: 8080}]
"""

NEXT_CHART = """
apiVersion: apps/v1
kind: Deployment
metadata:
  name: ledger
  namespace: accounting
  labels: {app.kubernetes.io/name: ledger, helm.sh/chart: ledger-4.0.0, app.kubernetes.io/managed-by: Helm}
spec:
  replicas: 4
  selector: {matchLabels: {app.kubernetes.io/name: ledger}}
  template:
    metadata: {labels: {app.kubernetes.io/name: ledger}}
    spec:
      serviceAccountName: ledger
      securityContext: {fsGroup: 1001}
      containers:
      - name: ledger
        image: registry.example.com/accounting/ledger:4.0.0
        ports: [{containerPort: 8080}]
        securityContext: {allowPrivilegeEscalation: false, runAsNonRoot: true, runAsUser: 1001, capabilities: {drop: [ALL]}}
        volumeMounts: [{name: spool, mountPath: /var/spool/ledger}]
      volumes: [{name: spool, emptyDir: {}}]
"""

NEIGHBOURS = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: invoices, namespace: accounting}
spec:
  replicas: 2
  selector: {matchLabels: {app: invoices}}
  template:
    metadata: {labels: {app: invoices}}
    spec:
      containers:
      - name: invoices
        image: registry.example.com/accounting/invoices:2.14.0
        ports: [{containerPort: 8080}]
        securityContext: {allowPrivilegeEscalation: false, runAsNonRoot: true, capabilities: {drop: [ALL]}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: reviews-api, namespace: storefront}
spec:
  replicas: 2
  selector: {matchLabels: {app: reviews-api}}
  template:
    metadata: {labels: {app: reviews-api}}
    spec:
      containers:
      - {name: reviews-api, image: "registry.example.com/storefront/reviews-api:1.9.1", ports: [{containerPort: 9000}]}
---
apiVersion: v1
kind: Service
metadata: {name: reviews, namespace: storefront}
spec: {selector: {app: reviews-api}, ports: [{name: http, port: 80, targetPort: 9000}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: listing, namespace: storefront}
spec:
  replicas: 3
  selector: {matchLabels: {app: listing}}
  template:
    metadata: {labels: {app: listing}}
    spec:
      containers:
      - {name: listing, image: "registry.example.com/storefront/listing:6.3.0", ports: [{containerPort: 9000}]}
---
apiVersion: v1
kind: Service
metadata: {name: listing, namespace: storefront}
spec: {selector: {app: listing}, ports: [{name: http, port: 80, targetPort: 9000}]}
"""

ROUTES = """
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: public, namespace: storefront}
spec:
  gatewayClassName: shared
  listeners: [{name: http, port: 80, protocol: HTTP, allowedRoutes: {namespaces: {from: Same}}}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: reviews, namespace: storefront}
spec:
  parentRefs: [{group: gateway.networking.k8s.io, kind: Gateway, name: public}]
  hostnames: [shop.example.com]
  rules:
  - matches: [{path: {type: PathPrefix, value: /reviews}}]
    backendRefs: [{group: "", kind: Service, name: reviews, port: 80, weight: 1}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: listing, namespace: storefront}
spec:
  parentRefs: [{group: gateway.networking.k8s.io, kind: Gateway, name: public}]
  hostnames: [shop.example.com]
  rules:
  - matches: [{path: {type: PathPrefix, value: /}}]
    backendRefs: [{group: "", kind: Service, name: listing, port: 80, weight: 1}]
"""

RENAMED = """
apiVersion: v1
kind: Service
metadata: {name: reviews-api, namespace: storefront}
spec: {selector: {app: reviews-api}, ports: [{name: http, port: 80, targetPort: 9000}]}
"""

CONTROLLER = "gateway.example.com/controller"
FORBIDDEN = (
    "restricted", "nonroot-v2", "nonroot", "hostmount-anyuid", "machine-api-termination-handler", "hostnetwork-v2",
    "hostnetwork", "hostaccess", "node-exporter", "privileged",
)  # fmt: skip


def play(stage: Stage) -> None:
    stage.crd(
        "security.openshift.io", "v1", "SecurityContextConstraints", "securitycontextconstraints",
        namespaced=False,
    )  # fmt: skip
    stage.crd("gateway.networking.k8s.io", "v1", "Gateway", "gateways")
    stage.crd("gateway.networking.k8s.io", "v1", "HTTPRoute", "httproutes")
    stage.apply(NAMESPACE)
    stage.apply(CONSTRAINTS)
    stage.apply(LEDGER, manager="helm")
    stage.apply(NEIGHBOURS)
    stage.apply(ROUTES)
    _gateway(stage)
    for name in ("reviews", "listing"):
        _route(stage, name, generation=1)
    stage.calm()
    for namespace in ("accounting", "storefront"):
        stage.kubectl("annotate", "pods", "--all", "-n", namespace, "openshift.io/scc=restricted-v2")
    stage.wait(days=23, hours=2)

    stage.apply(RENAMED)
    stage.delete("services/storefront/reviews")
    _route(stage, "reviews", generation=1, missing="reviews")
    stage.wait(hours=3, minutes=17)

    _refuse_pods(stage)
    stage.apply(NEXT_CHART, manager="helm")
    stage.cluster.until("the new ReplicaSet has failed", lambda: _failed(stage))
    said = _say_why(stage)
    stage.calm(unfinished=["accounting/ledger"])
    stage.wait(minutes=11)
    stage.cluster.until("the deadline is passed", lambda: _late(stage))
    stage.wait(minutes=16)
    stage.event(
        stage.get(f"replicasets/accounting/{said[0]}"), "FailedCreate", f"Error creating: {said[1]}",
        component="replicaset-controller", count=17, minutes_ago=3,
    )  # fmt: skip
    stage.log("accounting/ledger", "INFO posted batch 88121 entries=240\nINFO posted batch 88122 entries=198")
    stage.fire(minutes_ago=4)


def _gateway(stage: Stage) -> None:
    since = stage.stamp()
    stage.status("gateways.gateway.networking.k8s.io/storefront/public", {
        "addresses": [{"type": "IPAddress", "value": "203.0.113.40"}],
        "conditions": [
            {"type": kind, "status": "True", "reason": kind, "message": words, "observedGeneration": 1, "lastTransitionTime": since}
            for kind, words in (("Accepted", "The Gateway has been scheduled"), ("Programmed", "Address assigned to the Gateway"))
        ],
        "listeners": [{
            "name": "http", "attachedRoutes": 2,
            "supportedKinds": [{"group": "gateway.networking.k8s.io", "kind": "HTTPRoute"}],
            "conditions": [{"type": "Programmed", "status": "True", "reason": "Programmed", "message": "Listener is programmed", "observedGeneration": 1, "lastTransitionTime": since}],
        }],
    }, manager=CONTROLLER)  # fmt: skip


def _route(stage: Stage, name: str, *, generation: int, missing: str = "") -> None:
    accepted = {"type": "Accepted", "status": "True", "reason": "Accepted", "message": "Route is accepted"}
    refs = {"type": "ResolvedRefs", "status": "True", "reason": "ResolvedRefs", "message": "Resolved all the Object references for the Route"}  # fmt: skip
    if missing:
        refs |= {
            "status": "False", "reason": "BackendNotFound",
            "message": f"Failed to process route rule 0 backendRef 0: service storefront/{missing} not found.",
        }  # fmt: skip
    before = stage.get(f"httproutes/storefront/{name}").get("status", {}).get("parents", [])
    since = {one["type"]: one for parent in before for one in parent["conditions"]}
    conditions = [
        {
            **one,
            "observedGeneration": generation,
            "lastTransitionTime": since[one["type"]]["lastTransitionTime"]
            if since.get(one["type"], {}).get("status") == one["status"]
            else stage.stamp(),
        }
        for one in (accepted, refs)
    ]
    parent = {"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "public"}
    status = {"parents": [{"parentRef": parent, "controllerName": CONTROLLER, "conditions": conditions}]}
    stage.status(f"httproutes.gateway.networking.k8s.io/storefront/{name}", status, manager=CONTROLLER)


def _refuse_pods(stage: Stage) -> None:
    """No SCC admission runs here: the ReplicaSet controller is kept from making pods and from telling it, by the API
    server's own roles, which no recording has. What admission would have said is written by `_say_why`."""
    name = "system:controller:replicaset-controller"
    role = stage.cluster.ask("GET", f"/apis/rbac.authorization.k8s.io/v1/clusterroles/{name}")
    role["rules"] = [
        {**rule, "verbs": [v for v in rule["verbs"] if v != "create"]} if "pods" in rule["resources"] else rule
        for rule in role["rules"]
        if "events" not in rule["resources"]
    ]  # fmt: skip
    stage.cluster.ask("PUT", f"/apis/rbac.authorization.k8s.io/v1/clusterroles/{name}", role)


def _fresh(stage: Stage) -> Body:
    """The ReplicaSet of the newest revision."""
    sets: list[Body] = stage.cluster.get(
        "replicasets", "-n", "accounting", "-l", "app.kubernetes.io/name=ledger"
    )["items"]
    return max(sets, key=lambda one: int(one["metadata"]["annotations"]["deployment.kubernetes.io/revision"]))


def _failed(stage: Stage) -> bool:
    fresh = _fresh(stage)
    return fresh["spec"]["template"]["spec"]["containers"][0]["image"].endswith(":4.0.0") and _failure(fresh)


def _say_why(stage: Stage) -> tuple[str, str]:
    """The ReplicaSet's name, and what the API server's admission answered to it."""
    fresh = _fresh(stage)
    name = fresh["metadata"]["name"]
    refused = ", ".join([
        'provider "anyuid": Forbidden: not usable by user or serviceaccount',
        "provider restricted-v2: .spec.securityContext.fsGroup: Invalid value: []int64{1001}: 1001 is not an allowed group",
        "provider restricted-v2: .containers[0].runAsUser: Invalid value: 1001: must be in the ranges: [1000740000, 1000749999]",
        *(f'provider "{one}": Forbidden: not usable by user or serviceaccount' for one in FORBIDDEN),
    ])  # fmt: skip
    said = f'pods "{name}-" is forbidden: unable to validate against any security context constraint: [{refused}]'
    for what in (f"replicaset/{name}", "deployment/ledger"):
        resource, _, which = what.partition("/")
        place = f"{resource}s/accounting/{which}"
        stage.cluster.until(f"{what} tells of a failure", partial(_fails, stage, place))
        found = stage.get(place)["status"]["conditions"]
        # Both controllers leave the message alone for as long as the reason is the same.
        body = [{**one, "message": said} if one["type"] == "ReplicaFailure" else one for one in found]
        stage.status(place, {"conditions": body}, manager="kube-controller-manager")
    return name, said


def _fails(stage: Stage, place: str) -> bool:
    return _failure(stage.get(place))


def _failure(thing: Body) -> bool:
    return any(one["type"] == "ReplicaFailure" for one in thing["status"].get("conditions", []))


def _late(stage: Stage) -> bool:
    found = stage.get("deployments/accounting/ledger")["status"]["conditions"]
    return any(one.get("reason") == "ProgressDeadlineExceeded" for one in found)

"""What Kubernetes calls its own kinds: plural, short names, scope, and the rule for kinds that stand in no table.

Names as `kubectl api-resources` of Kubernetes 1.36 and OpenShift print them. Kinds that a CustomResourceDefinition
describes are named by it, not here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Kind:
    """One built-in kind. `version` is the one an API server prefers."""

    group: str
    version: str
    kind: str
    plural: str
    short: Sequence[str] = ()
    namespaced: bool = True
    in_all: bool = False
    """Whether `kubectl get all` asks for it."""
    usual: bool = False
    """Whether every cluster knows it: asked for and not there means "none", not "no such thing"."""


def _named(
    group: str,
    version: str,
    kind: str,
    plural: str,
    short: str = "",
    *,
    cluster: bool = False,
    in_all: bool = False,
    usual: bool = True,
) -> Kind:
    return Kind(group, version, kind, plural, tuple(short.split()), not cluster, in_all, usual)


_RBAC, _STORAGE, _NET = "rbac.authorization.k8s.io", "storage.k8s.io", "networking.k8s.io"
_ADMISSION = "admissionregistration.k8s.io"

KINDS: Sequence[Kind] = (
    _named("", "v1", "ConfigMap", "configmaps", "cm"),
    _named("", "v1", "Endpoints", "endpoints", "ep"),
    _named("", "v1", "Event", "events", "ev"),
    _named("", "v1", "LimitRange", "limitranges", "limits"),
    _named("", "v1", "Namespace", "namespaces", "ns", cluster=True),
    _named("", "v1", "Node", "nodes", "no", cluster=True),
    _named("", "v1", "PersistentVolumeClaim", "persistentvolumeclaims", "pvc"),
    _named("", "v1", "PersistentVolume", "persistentvolumes", "pv", cluster=True),
    _named("", "v1", "Pod", "pods", "po", in_all=True),
    _named("", "v1", "PodTemplate", "podtemplates", usual=False),
    _named("", "v1", "ReplicationController", "replicationcontrollers", "rc", in_all=True),
    _named("", "v1", "ResourceQuota", "resourcequotas", "quota"),
    _named("", "v1", "Secret", "secrets"),
    _named("", "v1", "ServiceAccount", "serviceaccounts", "sa"),
    _named("", "v1", "Service", "services", "svc", in_all=True),
    _named("apps", "v1", "ControllerRevision", "controllerrevisions"),
    _named("apps", "v1", "DaemonSet", "daemonsets", "ds", in_all=True),
    _named("apps", "v1", "Deployment", "deployments", "deploy", in_all=True),
    _named("apps", "v1", "ReplicaSet", "replicasets", "rs", in_all=True),
    _named("apps", "v1", "StatefulSet", "statefulsets", "sts", in_all=True),
    _named("events.k8s.io", "v1", "Event", "events", "ev", usual=False),
    _named("autoscaling", "v2", "HorizontalPodAutoscaler", "horizontalpodautoscalers", "hpa", in_all=True),
    _named("batch", "v1", "CronJob", "cronjobs", "cj", in_all=True),
    _named("batch", "v1", "Job", "jobs", in_all=True),
    _named(
        "certificates.k8s.io",
        "v1",
        "CertificateSigningRequest",
        "certificatesigningrequests",
        "csr",
        cluster=True,
        usual=False,
    ),
    _named(_NET, "v1", "Ingress", "ingresses", "ing"),
    _named(_NET, "v1", "IngressClass", "ingressclasses", cluster=True, usual=False),
    _named(_NET, "v1", "IPAddress", "ipaddresses", "ip", cluster=True, usual=False),
    _named(_NET, "v1", "NetworkPolicy", "networkpolicies", "netpol"),
    _named(_NET, "v1", "ServiceCIDR", "servicecidrs", cluster=True, usual=False),
    _named("policy", "v1", "PodDisruptionBudget", "poddisruptionbudgets", "pdb"),
    _named(_RBAC, "v1", "ClusterRoleBinding", "clusterrolebindings", cluster=True, usual=False),
    _named(_RBAC, "v1", "ClusterRole", "clusterroles", cluster=True, usual=False),
    _named(_RBAC, "v1", "RoleBinding", "rolebindings"),
    _named(_RBAC, "v1", "Role", "roles"),
    _named(_STORAGE, "v1", "CSIDriver", "csidrivers", cluster=True, usual=False),
    _named(_STORAGE, "v1", "CSINode", "csinodes", cluster=True, usual=False),
    _named(_STORAGE, "v1", "CSIStorageCapacity", "csistoragecapacities", usual=False),
    _named(_STORAGE, "v1", "StorageClass", "storageclasses", "sc", cluster=True),
    _named(_STORAGE, "v1", "VolumeAttachment", "volumeattachments", cluster=True, usual=False),
    _named(_STORAGE, "v1", "VolumeAttributesClass", "volumeattributesclasses", "vac", cluster=True, usual=False),
    _named(_ADMISSION, "v1", "MutatingWebhookConfiguration", "mutatingwebhookconfigurations", cluster=True, usual=False),
    _named(_ADMISSION, "v1", "ValidatingAdmissionPolicy", "validatingadmissionpolicies", cluster=True, usual=False),
    _named(_ADMISSION, "v1", "ValidatingAdmissionPolicyBinding", "validatingadmissionpolicybindings", cluster=True, usual=False),
    _named(_ADMISSION, "v1", "ValidatingWebhookConfiguration", "validatingwebhookconfigurations", cluster=True, usual=False),
    _named("apiextensions.k8s.io", "v1", "CustomResourceDefinition", "customresourcedefinitions", "crd crds", cluster=True),
    _named("apiregistration.k8s.io", "v1", "APIService", "apiservices", cluster=True, usual=False),
    _named("scheduling.k8s.io", "v1", "PriorityClass", "priorityclasses", "pc", cluster=True, usual=False),
    _named("coordination.k8s.io", "v1", "Lease", "leases", usual=False),
    _named("node.k8s.io", "v1", "RuntimeClass", "runtimeclasses", cluster=True, usual=False),
    _named("discovery.k8s.io", "v1", "EndpointSlice", "endpointslices"),
    _named("flowcontrol.apiserver.k8s.io", "v1", "FlowSchema", "flowschemas", cluster=True, usual=False),
    _named("flowcontrol.apiserver.k8s.io", "v1", "PriorityLevelConfiguration", "prioritylevelconfigurations", cluster=True, usual=False),
    _named("resource.k8s.io", "v1", "DeviceClass", "deviceclasses", cluster=True, usual=False),
    _named("resource.k8s.io", "v1", "ResourceClaim", "resourceclaims", usual=False),
    _named("resource.k8s.io", "v1", "ResourceClaimTemplate", "resourceclaimtemplates", usual=False),
    _named("resource.k8s.io", "v1", "ResourceSlice", "resourceslices", cluster=True, usual=False),
    # OpenShift's own servers: no CustomResourceDefinition tells of these.
    _named("apps.openshift.io", "v1", "DeploymentConfig", "deploymentconfigs", "dc", in_all=True),
    _named("build.openshift.io", "v1", "Build", "builds", in_all=True, usual=False),
    _named("build.openshift.io", "v1", "BuildConfig", "buildconfigs", "bc", in_all=True, usual=False),
    _named("image.openshift.io", "v1", "Image", "images", cluster=True, usual=False),
    _named("image.openshift.io", "v1", "ImageStream", "imagestreams", "is", in_all=True, usual=False),
    _named("image.openshift.io", "v1", "ImageStreamTag", "imagestreamtags", "istag", usual=False),
    _named("oauth.openshift.io", "v1", "OAuthClient", "oauthclients", cluster=True, usual=False),
    _named("project.openshift.io", "v1", "Project", "projects", cluster=True, usual=False),
    _named("route.openshift.io", "v1", "Route", "routes", in_all=True, usual=False),
    _named("security.openshift.io", "v1", "SecurityContextConstraints", "securitycontextconstraints", "scc", cluster=True, usual=False),
    _named("template.openshift.io", "v1", "Template", "templates", usual=False),
    _named("user.openshift.io", "v1", "Group", "groups", cluster=True, usual=False),
    _named("user.openshift.io", "v1", "User", "users", cluster=True, usual=False),
)  # fmt: skip
"""In an API server's order of groups: the first that a word fits is the one that is meant."""

BUILT_IN: Mapping[tuple[str, str], Kind] = {(one.group, one.kind): one for one in KINDS}
"""By group and kind."""

GROUP_ORDER: Mapping[str, int] = {group: at for at, group in enumerate(dict.fromkeys(k.group for k in KINDS))}


def plural_of(kind: str) -> str:
    """The plural of a kind nobody tells us of, by the rule that controller-gen names new ones by."""
    word = kind.lower()
    if word.endswith("y") and word[-2:-1] not in ("a", "e", "i", "o", "u", ""):
        return f"{word[:-1]}ies"
    if word.endswith(("s", "x", "z", "ch", "sh")):
        return f"{word}es"
    return f"{word}s"

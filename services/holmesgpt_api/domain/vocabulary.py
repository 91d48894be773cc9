"""Words by which names are told from English: kinds of objects, and what looks like a name and is none. Data alone."""

from __future__ import annotations

KINDS = frozenset(
    [
        "apiservice", "application", "certificate", "clusterissuer", "clusterrole", "clusterrolebinding",
        "configmap", "cronjob", "csidriver", "csinode", "customresourcedefinition", "daemonset", "deployment",
        "destinationrule", "endpoints", "endpointslice", "event", "gateway", "helmrelease",
        "horizontalpodautoscaler", "httproute", "ingress", "ingressclass", "issuer", "job", "kustomization",
        "lease", "limitrange", "mutatingwebhookconfiguration", "namespace", "networkpolicy", "node",
        "persistentvolume", "persistentvolumeclaim", "pod", "poddisruptionbudget", "priorityclass",
        "replicaset", "replicationcontroller", "resourcequota", "role", "rolebinding", "rollout", "route",
        "runtimeclass", "scaledobject", "secret", "service", "serviceaccount", "statefulset", "storageclass",
        "validatingwebhookconfiguration", "verticalpodautoscaler", "virtualservice", "volumeattachment",
    ]
)  # fmt: skip

SHORT = {
    "pvc": "persistentvolumeclaim", "pv": "persistentvolume", "hpa": "horizontalpodautoscaler",
    "pdb": "poddisruptionbudget", "sts": "statefulset", "ds": "daemonset", "deploy": "deployment",
    "svc": "service", "cm": "configmap", "po": "pod", "rs": "replicaset", "ns": "namespace",
    "sa": "serviceaccount", "no": "node", "ing": "ingress", "cj": "cronjob", "netpol": "networkpolicy",
    "ep": "endpoints", "sc": "storageclass", "quota": "resourcequota", "ev": "event",
    "vpa": "verticalpodautoscaler",
}  # fmt: skip
"""How people shorten kinds."""

PROPER = frozenset(
    [
        "activemq", "argocd", "clickhouse", "coredns", "devops", "dynamodb", "fluxcd", "github", "gitlab",
        "graphql", "grpc", "haproxy", "holmesgpt", "javascript", "kubernetes", "macos", "mariadb", "memcached",
        "mongodb", "mysql", "nodejs", "oauth", "openshift", "openssl", "postgresql", "rabbitmq", "readonly",
        "readwriteonce", "statuscode", "timeout", "typescript",
    ]
)  # fmt: skip
"""Written with capitals inside, and no name of anything in this cluster."""

TERMS = frozenset(
    [
        "2xx", "3xx", "4xx", "5xx", "a.k.a", "and/or", "base64", "ci/cd", "e.g", "ec2", "http/1.1", "http/2",
        "http2", "i.e", "i/o", "ipv4", "ipv6", "k8s", "l4", "l7", "md5", "n/a", "p50", "p75", "p90", "p95",
        "p99", "p999", "s3", "sha1", "sha256", "tcp/ip", "utf-8", "utf8", "vs.", "x509",
    ]
)  # fmt: skip
"""Terms of the trade."""

PLAIN_PARTS = frozenset(
    [
        "all", "anti", "api", "async", "auto", "aware", "back", "backed", "balance", "balanced", "balancer",
        "base", "based", "bottom", "bound", "built", "by", "called", "case", "cause", "check", "checked",
        "checks", "client", "closed", "cluster", "co", "condition", "config", "cpu", "crash", "crashed",
        "cross", "data", "date", "day", "dead", "depth", "disk", "dns", "down", "driven", "effect", "effects",
        "end", "error", "errors", "ex", "facing", "fail", "failed", "failing", "file", "files", "fine", "first",
        "fold", "follow", "free", "full", "grained", "half", "hand", "hard", "health", "high", "host", "hosted",
        "hour", "hours", "image", "in", "inter", "io", "key", "kill", "killed", "kind", "known", "last", "left",
        "less", "level", "life", "likely", "limit", "limited", "limiting", "limits", "line", "lines", "lived",
        "liveness", "load", "lock", "locked", "log", "logs", "long", "loop", "looping", "low", "map", "memory",
        "mid", "minute", "minutes", "mis", "month", "more", "most", "mount", "mounted", "multi", "name",
        "network", "new", "no", "node", "non", "not", "of", "off", "old", "on", "one", "only", "oom", "open",
        "other", "out", "over", "per", "pod", "point", "points", "policy", "post", "pre", "pull", "put",
        "quota", "race", "rate", "re", "read", "readiness", "ready", "real", "related", "request", "requests",
        "response", "retries", "retry", "right", "roll", "rolled", "rollout", "root", "round", "run", "running",
        "runs", "safe", "same", "second", "seconds", "self", "semi", "server", "service", "set", "short",
        "shut", "side", "single", "so", "soft", "space", "specific", "ssl", "start", "state", "stateful",
        "step", "still", "sub", "sync", "tear", "than", "the", "third", "thread", "threaded", "three",
        "through", "time", "tls", "to", "top", "trip", "ttl", "two", "under", "up", "user", "value", "values",
        "volume", "week", "well", "wide", "wise", "worker", "workers", "write", "year",
    ]
)  # fmt: skip
"""Words of which English makes compounds: `out-of-memory` names nothing."""

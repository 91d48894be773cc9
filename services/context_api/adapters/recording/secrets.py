"""Take the secret part out of an object before anything else sees it, whether it was recorded or is live.

Of a Secret stay the names of its keys, their sizes and the dates of certificates. Encrypting or masking is
not done here: what is not kept cannot leak.
"""

from __future__ import annotations

import binascii
from base64 import b64decode
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from services.context_api.domain.snapshot import parse_time

LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
LONGEST_ANNOTATION = 256
"""Characters of a Secret's annotation that are kept. Tools put whole copies (kapp, Rancher, kubectl) and service
account tokens (OpenShift, about 900 characters) into annotations; names and switches are shorter."""


def without_data(secret: Mapping[str, Any]) -> dict[str, Any]:
    """The Secret without `data` and `stringData`, with `dataSummary` {key: {bytes, not_before?, not_after?}}.

    One that was emptied before keeps its summary, so that a recording of emptied Secrets reads as they were.
    """
    kept = {key: value for key, value in secret.items() if key not in ("data", "stringData")}
    before = _summarised(secret.get("dataSummary"))
    kept["metadata"] = _without_long_annotations(secret.get("metadata"))
    kept["dataSummary"] = {
        **before,
        **_summaries(secret.get("data"), encoded=True),
        **_summaries(secret.get("stringData"), encoded=False),
    }
    return kept


def without_nested(value: Any) -> Any:
    """The same tree with every Secret inside it (a Template's objects, an applied copy) emptied."""
    if isinstance(value, list):
        return [without_nested(item) for item in value]
    if not isinstance(value, dict):
        return "" if isinstance(value, str) and _quotes_a_secret(value) else value
    if value.get("kind") == "Secret" and ("data" in value or "stringData" in value):
        return without_data(value)
    return {key: without_nested(item) for key, item in value.items()}


def mentions_secret(raw: bytes) -> bool:
    """Whether an object's JSON may hold a copy of a Secret, as an object or as text; cheap, and rarely true."""
    return b'"Secret"' in raw or b'\\"Secret\\"' in raw


def _quotes_a_secret(text: str) -> bool:
    """A JSON text of a Secret, as `kubectl apply` leaves it in an annotation."""
    return '"Secret"' in text and '"kind"' in text and ('"data"' in text or '"stringData"' in text)


def _without_long_annotations(metadata: object) -> object:
    if not isinstance(metadata, Mapping) or not isinstance(metadata.get("annotations"), Mapping):
        return metadata
    short = {
        key: value
        for key, value in metadata["annotations"].items()
        if key != LAST_APPLIED and len(str(value)) <= LONGEST_ANNOTATION
    }
    return {**metadata, "annotations": short}


def _summarised(summary: object) -> dict[str, dict[str, Any]]:
    """What an earlier reading left of the data. Recordings come from elsewhere: nothing else may stand there."""
    if not isinstance(summary, Mapping):
        return {}
    return {
        str(key): {
            "bytes": size if type(size := value.get("bytes")) is int and size >= 0 else 0,
            **{
                name: _rfc3339(moment)
                for name in ("not_before", "not_after")
                if (moment := parse_time(value.get(name))) is not None
            },
        }
        for key, value in summary.items()
        if isinstance(value, Mapping)
    }


def _summaries(data: object, *, encoded: bool) -> dict[str, dict[str, Any]]:
    if not isinstance(data, Mapping):
        return {}
    return {str(key): _summary(value, encoded=encoded) for key, value in data.items()}


def _summary(value: object, *, encoded: bool) -> dict[str, Any]:
    if not isinstance(value, str):
        return {"bytes": 0}
    try:
        content = b64decode(value, validate=False) if encoded else value.encode()
    except (binascii.Error, ValueError):
        return {"bytes": len(value)}
    return {"bytes": len(content), **_dates(content)}


def _dates(content: bytes) -> dict[str, str]:
    """Validity of the first certificate (the leaf, in a chain), when the content is PEM and can be read."""
    if b"-----BEGIN CERTIFICATE-----" not in content:
        return {}
    # Imported here: it takes 60 ms, and most recordings hold no certificate.
    from cryptography import x509

    try:
        leaf = x509.load_pem_x509_certificate(content)
        dates = {"not_before": leaf.not_valid_before_utc, "not_after": leaf.not_valid_after_utc}
    except (ValueError, x509.InvalidVersion):
        return {}
    return {name: _rfc3339(moment) for name, moment in dates.items()}


def _rfc3339(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

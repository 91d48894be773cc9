from __future__ import annotations

from base64 import b64encode
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from services.context_api.adapters.recording.secrets import (
    LAST_APPLIED,
    mentions_secret,
    without_data,
    without_nested,
)

pytestmark = pytest.mark.requirement("INF-BR-SEC-005", "HAPI-110")

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)


def certificate(days: int) -> bytes:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "shop")])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(BEGIN)
        .not_valid_after(BEGIN + timedelta(days=days))
        .sign(key, hashes.SHA256())
    )
    return made.public_bytes(Encoding.PEM)


def test_names_and_sizes_of_the_keys_stay():
    emptied = without_data(
        {
            "kind": "Secret",
            "type": "Opaque",
            "data": {"a": "aGVsbG8="},
            "stringData": {"b": "é"},
            "metadata": {"name": "s"},
        }
    )

    assert emptied == {
        "kind": "Secret",
        "type": "Opaque",
        "metadata": {"name": "s"},
        "dataSummary": {"a": {"bytes": 5}, "b": {"bytes": 2}},
    }


def test_a_certificates_dates_stay_and_the_leaf_decides():
    chain = b64encode(certificate(90) + certificate(3650)).decode()

    summary = without_data({"data": {"tls.crt": chain}})["dataSummary"]["tls.crt"]

    assert summary["not_before"] == "2026-01-01T00:00:00Z"
    assert summary["not_after"] == "2026-04-01T00:00:00Z"
    assert set(summary) == {"bytes", "not_before", "not_after"}


def test_a_broken_certificate_has_only_a_size():
    broken = b64encode(b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n").decode()

    assert without_data({"data": {"tls.crt": broken}})["dataSummary"] == {"tls.crt": {"bytes": 59}}


@pytest.mark.parametrize("data", [None, [], "x", 7, {}])
def test_data_of_another_shape_is_dropped_all_the_same(data: object):
    assert without_data({"data": data})["dataSummary"] == {}


@pytest.mark.parametrize(("value", "size"), [("not base64 €", 12), ("abc", 3), (None, 0), (["a"], 0)])
def test_a_value_of_another_shape_shows_nothing(value: object, size: int):
    assert without_data({"data": {"a": value}})["dataSummary"] == {"a": {"bytes": size}}


def test_annotations_that_carry_copies_or_tokens_go():
    annotations = {
        LAST_APPLIED: "{}",
        "openshift.io/token-secret.value": "e" * 900,
        "cert-manager.io/issuer": "letsencrypt",
    }

    kept = without_data({"metadata": {"name": "s", "annotations": annotations}})["metadata"]

    assert kept == {"name": "s", "annotations": {"cert-manager.io/issuer": "letsencrypt"}}


def test_a_secret_is_emptied_wherever_it_is_nested():
    tree = {"objects": [{"kind": "Secret", "data": {"a": "aGVsbG8="}}], "text": "hello"}

    assert without_nested(tree) == {
        "objects": [{"kind": "Secret", "metadata": None, "dataSummary": {"a": {"bytes": 5}}}],
        "text": "hello",
    }


def test_a_reference_to_a_secret_stays():
    reference = {"kind": "Secret", "name": "db", "apiVersion": "v1"}

    assert without_nested({"ownerReferences": [reference]}) == {"ownerReferences": [reference]}


def test_only_objects_that_mention_a_secret_are_searched():
    assert mentions_secret(b'{"kind":"Secret"}')
    assert mentions_secret(b'{"a":"{\\"kind\\": \\"Secret\\"}"}')
    assert not mentions_secret(b'{"secretName":"db","kind":"SecretStore"}')


def test_a_secret_that_was_emptied_before_keeps_its_summary():
    once = without_data(
        {
            "kind": "Secret",
            "metadata": {"name": "s"},
            "data": {"a": "aGVsbG8=", "tls.crt": b64encode(certificate(90)).decode()},
        }
    )

    assert without_data(once) == once


def test_a_summary_made_elsewhere_may_hold_sizes_and_dates_and_nothing_else():
    forged = {
        "a": {"bytes": 3, "value": "hunter2", "not_after": "hunter2"},
        "b": "hunter2",
        "c": {"bytes": True},
    }

    emptied = without_data({"kind": "Secret", "metadata": {"name": "s"}, "dataSummary": forged})

    assert emptied["dataSummary"] == {"a": {"bytes": 3}, "c": {"bytes": 0}}


def test_data_that_is_there_counts_more_than_an_older_summary():
    emptied = without_data(
        {
            "kind": "Secret",
            "metadata": {"name": "s"},
            "dataSummary": {"a": {"bytes": 3}},
            "data": {"a": "aGVsbG8="},
        }
    )

    assert emptied["dataSummary"] == {"a": {"bytes": 5}}

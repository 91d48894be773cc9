"""Certificates for incidents: valid from and until moments of the story, signed by themselves."""

from __future__ import annotations

from base64 import b64encode
from datetime import datetime
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


def tls_secret(place: str, host: str, begins: datetime, ends: datetime) -> dict[str, Any]:
    """A Secret of type kubernetes.io/tls for NAMESPACE/NAME."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begins)
        .not_valid_after(ends)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    # Only the certificate is looked at: a recording keeps no key.
    data = {"tls.crt": b64encode(made.public_bytes(pem)).decode(), "tls.key": ""}
    namespace, called = place.split("/")
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "kubernetes.io/tls",
        "metadata": {"name": called, "namespace": namespace},
        "data": data,
    }

"""Certificates for incidents: valid from and until moments of the story, signed by themselves or by an authority."""

from __future__ import annotations

from base64 import b64encode
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


@dataclass(frozen=True, slots=True)
class Authority:
    """Who signs, until the story is told: its key is kept nowhere."""

    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate

    @property
    def pem(self) -> str:
        return self.certificate.public_bytes(serialization.Encoding.PEM).decode()


def authority(called: str, begins: datetime, ends: datetime) -> Authority:
    """A root that may sign others. The same name again gives another key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = _name(called)
    made = _builder(name, name, key, begins, ends).add_extension(
        x509.BasicConstraints(ca=True, path_length=None), critical=True
    )
    return Authority(key, made.sign(key, hashes.SHA256()))


def tls_secret(
    place: str, host: str, begins: datetime, ends: datetime, *, by: Authority | None = None
) -> dict[str, Any]:
    """A Secret of type kubernetes.io/tls for NAMESPACE/NAME; signed by itself without an authority."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = _name(host)
    made = _builder(name, by.certificate.subject if by else name, key, begins, ends).add_extension(
        x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False
    )
    pem = serialization.Encoding.PEM
    return _secret(place, made.sign(by.key if by else key, hashes.SHA256()).public_bytes(pem).decode())


def authority_secret(place: str, root: Authority) -> dict[str, Any]:
    """The Secret that an issuer of type CA reads."""
    return _secret(place, root.pem)


def _name(called: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, called)])


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, begins: datetime, ends: datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begins)
        .not_valid_after(ends)
    )


def _secret(place: str, certificate: str) -> dict[str, Any]:
    # Only the certificate is looked at: a recording keeps no key.
    data = {"tls.crt": b64encode(certificate.encode()).decode(), "tls.key": ""}
    namespace, called = place.split("/")
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "kubernetes.io/tls",
        "metadata": {"name": called, "namespace": namespace},
        "data": data,
    }

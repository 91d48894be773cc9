"""A certificate authority for one test, and server certificates signed by it."""

from __future__ import annotations

import ipaddress
import shutil
import socket
import ssl
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


@dataclass(frozen=True)
class Certificate:
    """PEM files of one server, and of the authority that signed it."""

    chain: Path
    key: Path
    authority: Path

    def server_context(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.chain, self.key)
        return context

    def client_context(self) -> ssl.SSLContext:
        """Believes this one's authority and no other."""
        return ssl.create_default_context(cafile=str(self.authority))

    @property
    def serial(self) -> int:
        return x509.load_pem_x509_certificate(self.chain.read_bytes()).serial_number


class MountedSecret:
    """A folder as the kubelet fills it: files are links into `..data`, which is itself a link and swapped as one."""

    def __init__(self, folder: Path, first: Certificate) -> None:
        folder.mkdir(parents=True)
        self._folder, self._versions = folder, 0
        self.chain, self.key = folder / "tls.crt", folder / "tls.key"
        self.replace(first)
        for file in (self.chain, self.key):
            file.symlink_to(Path("..data") / file.name)

    def replace(self, new: Certificate) -> None:
        self._versions += 1
        version = self._folder / f"..version_{self._versions}"
        version.mkdir()
        shutil.copy(new.chain, version / "tls.crt")
        shutil.copy(new.key, version / "tls.key")
        link = self._folder / "..data_tmp"
        link.symlink_to(version.name)
        link.rename(self._folder / "..data")

    @property
    def settings(self) -> dict[str, str]:
        return {"TLS_CERT_FILE": str(self.chain), "TLS_KEY_FILE": str(self.key)}


def put(content: Path, place: Path) -> None:
    """Another file in its place at once, never seen half."""
    new = place.with_suffix(".new")
    shutil.copy(content, new)
    new.replace(place)


def shown_at(port: int) -> int:
    """The serial number of the certificate that a new handshake is shown; believed or not."""
    anybody = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    anybody.check_hostname, anybody.verify_mode = False, ssl.CERT_NONE
    with (
        socket.create_connection(("127.0.0.1", port), timeout=10) as plain,
        anybody.wrap_socket(plain) as encrypted,
    ):
        return x509.load_der_x509_certificate(encrypted.getpeercert(binary_form=True) or b"").serial_number


def certificate(folder: Path, *, address: str = "127.0.0.1", days: int = 1) -> Certificate:
    """For a server at this address; with fewer than 0 days it has expired."""
    folder.mkdir(parents=True, exist_ok=True)
    ca_key, server_key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    ca_name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test authority")])
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, address)])
    authority = (
        _between(_certificate(ca_name, ca_name, ca_key), 1)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(
            x509.KeyUsage(
                digital_signature=False,
                content_commitment=False,
                key_encipherment=False,
                data_encipherment=False,
                key_agreement=False,
                key_cert_sign=True,
                crl_sign=True,
                encipher_only=False,
                decipher_only=False,
            ),
            critical=True,
        )
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(ca_key.public_key()), critical=False)
        .sign(ca_key, hashes.SHA256())
    )
    server = (
        _between(_certificate(name, ca_name, server_key), days)
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(address))]), critical=False
        )
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key()), critical=False
        )
        .sign(ca_key, hashes.SHA256())
    )
    made = Certificate(folder / "server.pem", folder / "server.key", folder / "ca.pem")
    made.chain.write_bytes(server.public_bytes(serialization.Encoding.PEM))
    made.authority.write_bytes(authority.public_bytes(serialization.Encoding.PEM))
    made.key.write_bytes(
        server_key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    return made


def _certificate(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey
) -> x509.CertificateBuilder:
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(issuer)
    return builder.public_key(key.public_key()).serial_number(x509.random_serial_number())


def _between(builder: x509.CertificateBuilder, days: int) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return builder.not_valid_before(now - timedelta(days=3)).not_valid_after(now + timedelta(days=days))

"""The server's certificate: the operator's, or one made at the start."""

from __future__ import annotations

import os
import ssl
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

ALPN = "postgresql"
_LIFETIME = timedelta(days=3650)


class TlsFailed(Exception):
    """The certificate or its key cannot be used; the text says which file, never what is in it."""


@dataclass(frozen=True, slots=True)
class Tls:
    """How connections are encrypted.

    Attributes:
        binding: the certificate's hash, as ``tls-server-end-point`` (RFC 5929) wants it.
    """

    context: ssl.SSLContext
    binding: bytes


def tls(certificate: Path | None, key: Path | None) -> Tls:
    """TLS with the certificate chain and the key in these PEM files, or with a new certificate.

    A new one is signed by nobody, so it hides what is said but does not show who says it. A login
    with SCRAM-SHA-256-PLUS shows that all the same: it proves that the other side knows the token.

    Raises:
        TlsFailed: a file cannot be read, or they do not belong together.
    """
    if certificate is not None and key is not None:
        return _loaded(certificate, key)
    if certificate is not None or key is not None:
        raise TlsFailed("a certificate and its key go together: set both or neither")
    with tempfile.TemporaryDirectory(prefix="epsql-tls-") as directory:
        certificate, key = Path(directory, "certificate.pem"), Path(directory, "key.pem")
        _generate(certificate, key)
        return _loaded(certificate, key)


def _loaded(certificate: Path, key: Path) -> Tls:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols([ALPN])
    try:
        context.load_cert_chain(certificate, key, password=_no_password)
        binding = _binding(certificate.read_bytes())
    except (OSError, ValueError):  # ssl.SSLError is an OSError
        raise TlsFailed(f"{certificate} and {key} are not a certificate and its key") from None
    return Tls(context, binding)


def _no_password() -> str:
    """Asked for the password of a key that has one: nobody is there to type it."""
    raise ValueError


def _binding(pem: bytes) -> bytes:
    own = x509.load_pem_x509_certificate(pem)
    # RFC 5929: the hash of the signature, but never MD5 or SHA-1; SHA-256 where there is none.
    algorithm = own.signature_hash_algorithm
    if algorithm is None or algorithm.name in {"md5", "sha1"}:
        algorithm = hashes.SHA256()
    return own.fingerprint(algorithm)


def _generate(certificate: Path, key: Path) -> None:
    private = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "epsql")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(private.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + _LIFETIME)
        .sign(private, hashes.SHA256())
    )
    certificate.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    plain = private.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    with os.fdopen(os.open(key, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(plain)

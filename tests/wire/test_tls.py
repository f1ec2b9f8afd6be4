"""The certificate: one of our own at each start, or the operator's."""

from __future__ import annotations

import hashlib
import ssl

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from server.wire.tls import TlsFailed, _generate, tls


@pytest.fixture
def files(tmp_path):
    certificate, key = tmp_path / "certificate.pem", tmp_path / "key.pem"
    _generate(certificate, key)
    return certificate, key


def test_a_given_certificate_is_the_one_that_is_bound_to(files):
    certificate, key = files
    der = x509.load_pem_x509_certificate(certificate.read_bytes()).public_bytes(Encoding.DER)
    assert tls(certificate, key).binding == hashlib.sha256(der).digest()
    assert key.stat().st_mode & 0o077 == 0


def test_each_start_makes_another():
    assert tls(None, None).binding != tls(None, None).binding


def test_old_protocols_are_not_spoken():
    assert tls(None, None).context.minimum_version >= ssl.TLSVersion.TLSv1_2


def test_files_that_are_no_certificate_and_key(files, tmp_path):
    certificate, key = files
    other = tmp_path / "other.pem"
    _generate(tmp_path / "unused.pem", other)
    for one, two in (
        (certificate, None),
        (None, key),
        (certificate, other),
        (key, certificate),
        (tmp_path / "missing.pem", key),
    ):
        with pytest.raises(TlsFailed) as failed:
            tls(one, two)
        assert "PRIVATE" not in str(failed.value)

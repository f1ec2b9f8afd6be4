"""SCRAM: the vectors of RFC 7677, and what an attacker may try."""

from __future__ import annotations

import base64
import hashlib

import pytest

from server import scram
from server.scram import Exchange, ScramFailed, Verifier, salt_of, verifier

SALT = base64.b64decode("W22ZaJ0SNY7soEsUEjb6gQ==")
NONCE = b"%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"
FIRST = b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO"
SERVER_FIRST = (
    b"r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"
)
FINAL = (
    b"c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,"
    b"p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
)
SERVER_FINAL = b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="


def exchange(*passwords: str, binding: bytes | None = None) -> Exchange:
    return Exchange(SALT, [verifier(p, SALT) for p in passwords], binding, NONCE)


def test_the_vectors_of_rfc_7677():
    one = exchange("pencil")
    assert one.first("SCRAM-SHA-256", FIRST) == SERVER_FIRST
    assert one.last(FINAL) == (0, SERVER_FINAL)


def test_any_of_several_passwords_does():
    one = exchange("pen", "crayon", "pencil")
    one.first("SCRAM-SHA-256", FIRST)
    assert one.last(FINAL) == (2, SERVER_FINAL)


@pytest.mark.parametrize("passwords", [(), ("pen",), ("pencil ",)])
def test_without_the_password_nobody_comes_in(passwords):
    one = exchange(*passwords)
    assert one.first("SCRAM-SHA-256", FIRST) == SERVER_FIRST  # nobody looks like somebody
    with pytest.raises(ScramFailed):
        one.last(FINAL)


def test_a_proof_of_zeros_does_not_fit_the_verifier_of_nobody():
    one = exchange()
    one.first("SCRAM-SHA-256", FIRST)
    with pytest.raises(ScramFailed):
        one.last(FINAL.rpartition(b"p=")[0] + b"p=" + base64.b64encode(bytes(32)))


def test_the_user_name_may_be_empty_as_libpq_leaves_it():
    one = exchange("pencil")
    assert one.first("SCRAM-SHA-256", FIRST.replace(b"user", b"")).startswith(b"r=rOprNGfw")


@pytest.mark.parametrize(
    "changed",
    [
        FINAL.replace(b"c=biws", b"c=eSws"),  # another header than the first message had
        FINAL.replace(b"r=rOpr", b"r=rOps"),
        FINAL.replace(b"p=dHzb", b"p=dHzc"),
        FINAL.replace(b"AndVQ=", b"And"),
        FINAL + b",x=1",
        b"",
        b"c=biws",
        b"\0" * 100,
    ],
)
def test_a_changed_final_message_proves_nothing(changed):
    one = exchange("pencil")
    one.first("SCRAM-SHA-256", FIRST)
    with pytest.raises(ScramFailed):
        one.last(changed)


@pytest.mark.parametrize(
    "changed",
    [
        b"",
        b"n,,n=user",
        b"x,,n=user,r=abc",
        b"n,a=root,n=user,r=abc",  # to act as somebody else
        b"n,,m=ext,n=user,r=abc",  # a mandatory extension
        b"p=tls-unique,,n=user,r=abc",
        b"p=tls-server-end-point,,n=user,r=abc",  # binding, under a mechanism without it
    ],
)
def test_a_first_message_that_is_not_one(changed):
    with pytest.raises(ScramFailed):
        exchange("pencil", binding=b"hash").first("SCRAM-SHA-256", changed)


def test_a_client_that_could_bind_and_was_not_offered_it_notices_who_is_between():
    """gs2 ``y``: fine where nothing was offered, an attack where it was."""
    exchange("pencil").first("SCRAM-SHA-256", b"y" + FIRST[1:])
    with pytest.raises(ScramFailed):
        exchange("pencil", binding=b"hash").first("SCRAM-SHA-256", b"y" + FIRST[1:])


def test_a_login_bound_to_another_certificate_fails():
    first = b"p=tls-server-end-point,,n=user,r=rOprNGfwEbeRWgbNEkqO"
    for ours, theirs in ((b"hash", True), (b"other", False)):
        one = exchange("pencil", binding=ours)
        one.first("SCRAM-SHA-256-PLUS", first)
        final = _final(one, b"p=tls-server-end-point,,hash")
        if theirs:
            assert one.last(final)[0] == 0
        else:
            with pytest.raises(ScramFailed):
                one.last(final)


def _final(one: Exchange, bound: bytes) -> bytes:
    """What a client that knows the password answers."""
    bare = b"c=" + base64.b64encode(bound) + b",r=" + one._nonce
    salted = hashlib.pbkdf2_hmac("sha256", b"pencil", SALT, scram.ITERATIONS)
    key = scram._hmac(salted, b"Client Key")
    stored = hashlib.sha256(key).digest()
    signature = scram._hmac(stored, one._first + b"," + bare)
    proof = bytes(a ^ b for a, b in zip(key, signature, strict=True))
    return bare + b",p=" + base64.b64encode(proof)


def test_a_mechanism_that_was_not_offered():
    with pytest.raises(ScramFailed):
        exchange("pencil").first("SCRAM-SHA-256-PLUS", FIRST)
    assert exchange().mechanisms == ("SCRAM-SHA-256",)
    assert exchange(binding=b"h").mechanisms == ("SCRAM-SHA-256-PLUS", "SCRAM-SHA-256")


def test_salts_belong_to_names_and_to_one_secret():
    assert salt_of(b"s", "ada") == salt_of(b"s", "ada")
    assert len({salt_of(b"s", "ada"), salt_of(b"s", "bob"), salt_of(b"t", "ada")}) == 3


def test_a_stored_verifier_holds_neither_password_nor_client_key():
    one = verifier("pencil", SALT)
    assert isinstance(one, Verifier)
    salted = hashlib.pbkdf2_hmac("sha256", b"pencil", SALT, scram.ITERATIONS)
    assert scram._hmac(salted, b"Client Key") not in {one.stored_key, one.server_key}


def test_a_proof_over_another_nonce_belongs_to_another_exchange():
    one = exchange("pencil")
    one.first("SCRAM-SHA-256", FIRST)
    nonce, one._nonce = one._nonce, b"rOprNGfwEbeRWgbNEkqO-of-yesterday"
    final = _final(one, b"n,,")
    one._nonce = nonce
    with pytest.raises(ScramFailed):
        one.last(final)
    assert one.last(_final(one, b"n,,"))[0] == 0

"""TLS 1.3 credentials: a channel key for this run, tied to the node's identity.

Python's ssl module gives a server no client certificate unless it can verify a chain. Therefore
every node of a network derives the same certification authority from the network id and signs its
own leaf with it. That authority proves nothing, as anybody can derive it. The proof is the leaf's
extension: the node id and its signature over the leaf's public key, which
:func:`verify_peer_certificate` checks. The handshake then binds the identities to both leaves'
fingerprints.
"""

from __future__ import annotations

import contextlib
import datetime
import os
import ssl
import tempfile
from typing import Final

from attrs import field, frozen
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.x509.oid import NameOID, ObjectIdentifier

from metanode.errors import Malformed
from metanode.hashing import tagged_hash
from metanode.identity import NODE_ID_BYTES, SIGNATURE_BYTES, Identity, verify

ALPN: Final = "metanode/1"
KEY_SIGNATURE_TAG: Final = "tls-key"
# An arc below 2.25, where anyone may form an identifier from a UUID; it names our one extension.
IDENTITY_EXTENSION: Final = ObjectIdentifier("2.25.164823901576226384125700931266840215533")
# The whole span that X.509 can write: keys live as long as a run, and clocks must not break links.
_NOT_BEFORE: Final = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
_NOT_AFTER: Final = datetime.datetime(9999, 12, 31, 23, 59, 59, tzinfo=datetime.UTC)
_MAX_CERTIFICATE_BYTES: Final = 4096


@frozen
class Credentials:
    """What a node needs to make TLS channels on one network; made anew at each start."""

    identity: Identity
    network_id: bytes
    fingerprint: bytes
    server_context: ssl.SSLContext = field(repr=False)
    client_context: ssl.SSLContext = field(repr=False)


def make_credentials(identity: Identity, network_id: bytes) -> Credentials:
    """Return credentials with a fresh P-256 channel key that exists in memory only.

    OpenSSL loads keys from files: one with mode 0600 exists for the time of that call.
    """
    channel_key = ec.generate_private_key(ec.SECP256R1())
    authority_key, authority = _network_authority(network_id)
    leaf = sign_leaf(identity, network_id, channel_key, authority_key, authority)
    authority_der = authority.public_bytes(serialization.Encoding.DER)
    server = _context(ssl.PROTOCOL_TLS_SERVER, authority_der)
    client = _context(ssl.PROTOCOL_TLS_CLIENT, authority_der)
    _load_key(channel_key, leaf, server, client)
    fingerprint = certificate_fingerprint(leaf.public_bytes(serialization.Encoding.DER))
    return Credentials(identity, network_id, fingerprint, server, client)


def certificate_fingerprint(der: bytes) -> bytes:
    """Return the 32-byte name of a certificate."""
    return tagged_hash("tls-certificate", der)


def verify_peer_certificate(der: bytes | None, network_id: bytes) -> tuple[bytes, bytes]:
    """Return (node id, fingerprint) of the other end of a channel.

    Raises Malformed when there is no certificate, when it has no or a wrong identity extension, or
    when the identity has not signed this certificate's key for this network. The culprit is not
    named: nobody knows who sent a wrong certificate.
    """
    if der is None or len(der) > _MAX_CERTIFICATE_BYTES:
        raise Malformed("certificate is missing or too long")
    try:
        certificate = x509.load_der_x509_certificate(der)
        extension = certificate.extensions.get_extension_for_oid(IDENTITY_EXTENSION)
        key_info = _key_info(certificate.public_key())
    except (ValueError, TypeError, x509.ExtensionNotFound, x509.DuplicateExtension) as error:
        raise Malformed("certificate has no identity") from error
    except Exception as error:
        # The parser raises types of its own for odd keys and extensions, all for one cause.
        raise Malformed("certificate cannot be read") from error
    value = extension.value
    if not isinstance(value, x509.UnrecognizedExtension):
        raise Malformed("certificate has no identity")
    if len(value.value) != NODE_ID_BYTES + SIGNATURE_BYTES:
        raise Malformed("certificate identity has the wrong length")
    node_id, signature = value.value[:NODE_ID_BYTES], value.value[NODE_ID_BYTES:]
    if not verify(node_id, signature, KEY_SIGNATURE_TAG, network_id, key_info):
        raise Malformed("certificate identity has not signed the channel key")
    return node_id, certificate_fingerprint(der)


def sign_leaf(
    identity: Identity, network_id: bytes, channel_key: ec.EllipticCurvePrivateKey,
    authority_key: ed25519.Ed25519PrivateKey, authority: x509.Certificate,
) -> x509.Certificate:
    """Return the leaf certificate of ``channel_key`` with the identity extension."""
    public = channel_key.public_key()
    signature = identity.sign(KEY_SIGNATURE_TAG, network_id, _key_info(public))
    extension = x509.UnrecognizedExtension(IDENTITY_EXTENSION, identity.node_id + signature)
    issuer_key_id = x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key())
    return (
        x509.CertificateBuilder()
        .subject_name(_name("metanode"))
        .issuer_name(authority.subject)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(_NOT_BEFORE)
        .not_valid_after(_NOT_AFTER)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .add_extension(issuer_key_id, critical=False)
        .add_extension(extension, critical=False)
        .sign(authority_key, None)
    )


def _network_authority(network_id: bytes) -> tuple[ed25519.Ed25519PrivateKey, x509.Certificate]:
    """Return the key and certificate that everybody on the network derives alike."""
    secret = tagged_hash("tls-network-authority", network_id)
    key = ed25519.Ed25519PrivateKey.from_private_bytes(secret)
    public = key.public_key()
    name = _name(f"metanode network {network_id.hex()[:16]}")
    usage = x509.KeyUsage(
        digital_signature=False, content_commitment=False, key_encipherment=False,
        data_encipherment=False, key_agreement=False, key_cert_sign=True, crl_sign=False,
        encipher_only=False, decipher_only=False,
    )
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(public)
        .serial_number(1)
        .not_valid_before(_NOT_BEFORE)
        .not_valid_after(_NOT_AFTER)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .sign(key, None)
    )
    return key, certificate


def _context(side: int, authority_der: bytes) -> ssl.SSLContext:
    context = ssl.SSLContext(side)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    # Names mean nothing here; the identity is checked by verify_peer_certificate.
    context.check_hostname = False
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(cadata=authority_der)
    context.set_alpn_protocols([ALPN])
    if side == ssl.PROTOCOL_TLS_SERVER:
        # No resumption: each link proves its keys anew.
        context.num_tickets = 0
    return context


def _load_key(
    key: ec.EllipticCurvePrivateKey, leaf: x509.Certificate, *contexts: ssl.SSLContext
) -> None:
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ) + leaf.public_bytes(serialization.Encoding.PEM)
    descriptor, path = tempfile.mkstemp(suffix=".pem")
    try:
        os.fchmod(descriptor, 0o600)
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(pem)
        for context in contexts:
            context.load_cert_chain(path)
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)


def _key_info(key: object) -> bytes:
    """Return the SubjectPublicKeyInfo of a P-256 key; other kinds are refused with TypeError."""
    if not isinstance(key, ec.EllipticCurvePublicKey) or key.curve.name != "secp256r1":
        raise TypeError("channel key is not on P-256")
    return key.public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])

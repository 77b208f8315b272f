"""Certificates made for a scenario: authorities, leaves of every kind, CRLs and OCSP answers.

    ca = Authority("ca")
    web = ca.issue("web", dns=["a.test"])         # an EC leaf, good for both sides
    web.chain, web.key                            # PEM text
    web.write(tmp_path)                           # web.chain_path, web.key_path
"""
import base64
import datetime
import ipaddress
import os
import ssl
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import pkcs12
from cryptography.x509 import ocsp
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

TLS = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3."
DAY = datetime.timedelta(days=1)


def make_key(sort="p256"):
    """A private key: p256, p384, p521, ed25519, or rsa2048 and the like."""
    if sort == "ed25519":
        return ed25519.Ed25519PrivateKey.generate()
    if sort.startswith("rsa"):
        return rsa.generate_private_key(65537, int(sort[3:] or 2048))
    curves = {"p256": ec.SECP256R1, "p384": ec.SECP384R1, "p521": ec.SECP521R1}
    return ec.generate_private_key(curves[sort]())


def serial_text(certificate):
    """The serial number as /certs prints it: whole bytes in hexadecimal."""
    text = f"{certificate.serial_number:x}"
    return text.zfill(len(text) + len(text) % 2)


def pem(certificate):
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


def key_pem(key, form="pkcs8", password=None):
    """A key as PEM text: pkcs8 or traditional (PKCS#1, SEC 1), encrypted or not."""
    formats = {"pkcs8": serialization.PrivateFormat.PKCS8,
               "traditional": serialization.PrivateFormat.TraditionalOpenSSL}
    how = serialization.BestAvailableEncryption(password.encode()) if password \
        else serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, formats[form], how).decode()


def _name(text):
    return x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, "xylem tests"),
                      x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _replace(path, text):
    """Write in one move, readable by all."""
    temporary = path.with_name(path.name + ".new")
    temporary.write_text(text)
    os.replace(temporary, path)


class Certificate:
    """A certificate with its key. chain: itself and what stands between it and the root."""

    def __init__(self, name, certificate, key, above=()):
        self.name, self.certificate, self.private = name, certificate, key
        self.pem, self.key = pem(certificate), key_pem(key)
        self.chain = self.pem + "".join(above)
        self.chain_path = self.key_path = None

    def write(self, folder, stem=None):
        """Files for chain and key, each replaced in one move."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        self.chain_path = folder / f"{stem or self.name}.pem"
        self.key_path = folder / f"{stem or self.name}.key"
        _replace(self.chain_path, self.chain)
        _replace(self.key_path, self.key)
        return self

    @property
    def serial(self):
        return serial_text(self.certificate)

    @property
    def sha256(self):
        """For verify_certificate_hash."""
        return self.certificate.fingerprint(hashes.SHA256()).hex()

    @property
    def spki(self):
        """For verify_certificate_spki."""
        digest = hashes.Hash(hashes.SHA256())
        digest.update(self.certificate.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo))
        return base64.b64encode(digest.finalize()).decode()

    def pkcs12(self, password=None):
        how = serialization.BestAvailableEncryption(password.encode()) if password \
            else serialization.NoEncryption()
        return pkcs12.serialize_key_and_certificates(
            self.name.encode(), self.private, self.certificate, None, how)

    def tls_certificate(self, files=False, **fields):
        """A TlsCertificate: inline, or by the files that write() made."""
        if files:
            made = {"certificate_chain": {"filename": str(self.chain_path)},
                    "private_key": {"filename": str(self.key_path)}}
        else:
            made = {"certificate_chain": {"inline_string": self.chain},
                    "private_key": {"inline_string": self.key}}
        return {**made, **fields}

    def secret(self, name, **fields):
        """A Secret, to be served by the stub."""
        return {"@type": TLS + "Secret", "name": name,
                "tls_certificate": self.tls_certificate(**fields)}


class Authority(Certificate):
    """A root, or with `above` an authority below another one."""

    def __init__(self, name="ca", above=None, key="p256", **fields):
        private = make_key(key)
        made = _build(name, private, above, ca=True, **fields)
        between = [] if above is None else above.between() + [pem(made)]
        super().__init__(name, made, private)
        self.above, self._between = above, between
        self.number = 1

    def between(self):
        """PEM texts of what a leaf of this authority has above it, without the root."""
        return list(self._between)

    def issue(self, name, key="p256", **fields):
        """A leaf. dns, uris, ips, emails, others (pairs of OID and text): names; days, not_before, not_after: validity; client,
        server: what it may be used for; signs: its key may, too; must_staple; private: a key that is there already. An
        authority has a path_length: how many there may be between it and a leaf."""
        private = fields.pop("private", None) or make_key(key)
        return Certificate(name, _build(name, private, self, **fields), private,
                           reversed(self.between()))

    def crl(self, *revoked, days=30):
        """A CRL as PEM text that names these certificates."""
        now = datetime.datetime.now(datetime.timezone.utc)
        made = x509.CertificateRevocationListBuilder().issuer_name(self.certificate.subject)
        made = made.last_update(now - DAY).next_update(now + days * DAY)
        for one in revoked:
            made = made.add_revoked_certificate(
                x509.RevokedCertificateBuilder().serial_number(one.certificate.serial_number)
                .revocation_date(now - DAY).build())
        made = made.add_extension(x509.CRLNumber(self.number), critical=False)
        self.number += 1
        return made.sign(self.private, hashes.SHA256()).public_bytes(
            serialization.Encoding.PEM).decode()

    def ocsp(self, leaf, good=True, days=7):
        """An OCSP answer (DER) about a leaf of this authority."""
        now = datetime.datetime.now(datetime.timezone.utc)
        made = ocsp.OCSPResponseBuilder().add_response(
            cert=leaf.certificate, issuer=self.certificate, algorithm=hashes.SHA1(),
            cert_status=ocsp.OCSPCertStatus.GOOD if good else ocsp.OCSPCertStatus.REVOKED,
            this_update=now - DAY, next_update=now + days * DAY,
            revocation_time=None if good else now - DAY, revocation_reason=None)
        made = made.responder_id(ocsp.OCSPResponderEncoding.HASH, self.certificate)
        return made.sign(self.private, hashes.SHA256()).public_bytes(serialization.Encoding.DER)

    def validation_context(self, **fields):
        return {"trusted_ca": {"inline_string": self.pem}, **fields}

    def validation_secret(self, name, **fields):
        """A Secret with a validation context, to be served by the stub."""
        return {"@type": TLS + "Secret", "name": name,
                "validation_context": self.validation_context(**fields)}


def _build(name, private, issuer, ca=False, dns=(), uris=(), ips=(), emails=(), days=30,
           not_before=None, not_after=None, client=True, server=True, must_staple=False,
           path_length=None, others=(), signs=True):
    now = datetime.datetime.now(datetime.timezone.utc)
    parent = issuer.certificate.subject if issuer else _name(name)
    signer = issuer.private if issuer else private
    made = x509.CertificateBuilder().subject_name(_name(name)).issuer_name(parent)
    made = made.public_key(private.public_key()).serial_number(x509.random_serial_number())
    made = made.not_valid_before(not_before or now - DAY)
    made = made.not_valid_after(not_after or now + days * DAY)
    made = made.add_extension(x509.BasicConstraints(ca=ca, path_length=path_length), critical=True)
    made = made.add_extension(x509.KeyUsage(
        digital_signature=signs, key_cert_sign=ca, crl_sign=ca, content_commitment=False,
        key_encipherment=not ca and isinstance(private, rsa.RSAPrivateKey),
        data_encipherment=False, key_agreement=False, encipher_only=False, decipher_only=False),
        critical=True)
    uses = [ExtendedKeyUsageOID.SERVER_AUTH] * server + [ExtendedKeyUsageOID.CLIENT_AUTH] * client
    if not ca and uses:
        made = made.add_extension(x509.ExtendedKeyUsage(uses), critical=False)
    names = [*map(x509.DNSName, dns), *map(x509.UniformResourceIdentifier, uris),
             *[x509.IPAddress(ipaddress.ip_address(ip)) for ip in ips],
             *map(x509.RFC822Name, emails),
             *[x509.OtherName(x509.ObjectIdentifier(oid), bytes([0x0c, len(text)]) + text.encode())
               for oid, text in others]]
    if names:
        made = made.add_extension(x509.SubjectAlternativeName(names), critical=False)
    made = made.add_extension(
        x509.SubjectKeyIdentifier.from_public_key(private.public_key()), critical=False)
    made = made.add_extension(
        x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False)
    if must_staple:
        made = made.add_extension(
            x509.TLSFeature([x509.TLSFeatureType.status_request]), critical=False)
    return made.sign(signer, hashes.SHA256())


# What uses them

def common(*certificates, files=False, **fields):
    """A CommonTlsContext with these certificates."""
    made = {"tls_certificates": [c.tls_certificate(files) for c in certificates]}
    return {**made, **fields} if certificates else fields


def downstream(*certificates, files=False, outer=None, **fields):
    """The transport socket of a filter chain; outer: fields of the DownstreamTlsContext."""
    return {"name": "envoy.transport_sockets.tls", "typed_config": {
        "@type": TLS + "DownstreamTlsContext",
        "common_tls_context": common(*certificates, files=files, **fields), **(outer or {})}}


def upstream(*certificates, files=False, outer=None, **fields):
    """The transport socket of a cluster; outer: fields of the UpstreamTlsContext."""
    return {"name": "envoy.transport_sockets.tls", "typed_config": {
        "@type": TLS + "UpstreamTlsContext",
        "common_tls_context": common(*certificates, files=files, **fields), **(outer or {})}}


def sds(name, source=None):
    """An SdsSecretConfig; source: the sds_config, ADS unless told."""
    return {"name": name, "sds_config": source or {"ads": {}, "resource_api_version": "V3"}}


def client_context(ca=None, certificate=None, folder=None, alpn=()):
    """An ssl.SSLContext that trusts `ca` (or anybody) and presents `certificate`."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    made.check_hostname = False
    made.verify_mode = ssl.CERT_REQUIRED if ca else ssl.CERT_NONE
    if ca:
        made.load_verify_locations(cadata=ca.pem)
    if certificate:
        certificate.write(folder)
        made.load_cert_chain(certificate.chain_path, certificate.key_path)
    if alpn:
        made.set_alpn_protocols(list(alpn))
    return made


def server_context(certificate, folder, ca=None, alpn=()):
    """An ssl.SSLContext for an origin; with `ca` it asks for a client's certificate."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.write(folder)
    made.load_cert_chain(certificate.chain_path, certificate.key_path)
    if ca:
        made.load_verify_locations(cadata=ca.pem)
        made.verify_mode = ssl.CERT_REQUIRED
    if alpn:
        made.set_alpn_protocols(list(alpn))
    return made

"""Makes the certificates of the tests again, with the `openssl` command: `python tests/certificates/make.py`.

They are valid from 2020 to 2120 and worth nothing: their keys stand beside them. A server's file holds certificate and
key; `localhost.crt`, `localhost.key` and `encrypted.key` (password: secret) are the parts of `localhost.pem`.
"""

import subprocess
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
RSA = ("-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048")
EC = ("-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256")
VALID = ("20200101000000Z", "21200101000000Z")
EXPIRED = ("20200101000000Z", "20210101000000Z")

_CONFIG = """[ca]
default_ca = it
[it]
database = {scratch}/index
new_certs_dir = {scratch}
rand_serial = yes
unique_subject = no
default_md = sha256
policy = any
[any]
organizationName = optional
commonName = supplied
[authority]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
[leaf]
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = serverAuth, clientAuth
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
"""


def openssl(*arguments: str) -> None:
    subprocess.run(["openssl", *arguments], check=True, capture_output=True)


class Maker:
    """Writes into `scratch` first: authorities have no key beside them."""

    def __init__(self, scratch: Path) -> None:
        self.scratch = scratch
        (scratch / "index").touch()

    def authority(self, name: str) -> None:
        self._sign(name, f"/CN=Ostler test {name}", "authority", EC, VALID, ("-selfsign",))
        (HERE / f"{name}.pem").write_text((self.scratch / f"{name}.crt").read_text())

    def leaf(
        self,
        name: str,
        subject: str,
        *names: str,
        key: tuple[str, ...] = EC,
        dates: tuple[str, str] = VALID,
    ) -> None:
        """`names`: of the server; none for a client."""
        authority = ("-cert", str(self.scratch / "ca.crt"))
        text = f"subjectAltName = {','.join(names)}\n" if names else ""
        self._sign(name, subject, "leaf", key, dates, authority, text)
        parts = [(self.scratch / f"{name}.{kind}").read_text() for kind in ("crt", "key")]
        (HERE / f"{name}.pem").write_text("".join(parts))

    def _sign(
        self,
        name: str,
        subject: str,
        section: str,
        key: tuple[str, ...],
        dates: tuple[str, str],
        authority: tuple[str, ...],
        more: str = "",
    ) -> None:
        private, config, request = self.scratch / f"{name}.key", self.scratch / "config", self.scratch / "request"
        config.write_text(_CONFIG.format(scratch=self.scratch) + more)  # more: of its last section
        openssl("genpkey", *key, "-out", str(private))
        openssl("req", "-new", "-key", str(private), "-subj", subject, "-out", str(request))
        signer = private if "-selfsign" in authority else self.scratch / "ca.key"
        openssl(
            *("ca", "-batch", "-notext", "-config", str(config), "-extensions", section, "-in", str(request)),
            *("-keyfile", str(signer), *authority, "-out", str(self.scratch / f"{name}.crt")),
            *("-startdate", dates[0], "-enddate", dates[1]),
        )


def main() -> None:
    with tempfile.TemporaryDirectory() as directory:
        maker = Maker(Path(directory))
        maker.authority("ca")
        maker.authority("other-ca")
        maker.leaf("localhost", "/CN=localhost", "DNS:localhost", "IP:127.0.0.1")
        for kind in ("crt", "key"):
            (HERE / f"localhost.{kind}").write_text((maker.scratch / f"localhost.{kind}").read_text())
        encrypted = HERE / "encrypted.key"
        openssl(
            *("pkey", "-in", str(HERE / "localhost.key"), "-aes256", "-passout", "pass:secret"),
            *("-out", str(encrypted)),
        )
        encrypted.chmod(0o644)  # as the others: git keeps no other modes
        maker.leaf("renewed", "/CN=renewed", "DNS:localhost", "IP:127.0.0.1")
        maker.leaf("rsa", "/CN=rsa", "DNS:localhost", "IP:127.0.0.1", key=RSA)
        maker.leaf("shop", "/CN=shop.example", "DNS:shop.example")
        maker.leaf("wildcard", "/CN=any.example", "DNS:*.example")
        maker.leaf("expired", "/CN=expired", "DNS:localhost", dates=EXPIRED)
        maker.leaf("client", "/O=Ostler tests/CN=a client")


if __name__ == "__main__":
    main()

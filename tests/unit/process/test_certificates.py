"""process/certificates.py: real certificates (tests/certificates), handshakes in memory."""

import os
import re
import runpy
import shutil
import ssl
from pathlib import Path

import pytest

from ostler.config.settings import Hooks, Settings
from ostler.errors import ConfigError
from ostler.process.certificate_files import pack, unpack
from ostler.process.certificates import Certificates

PEMS = Path(__file__).parents[2] / "certificates"


def settings(**changes):
    values = {name: str(PEMS / value) if name in ("certfile", "keyfile", "ca_certs") else value
              for name, value in changes.items()}  # fmt: skip
    return Settings.defaults(**({"certfile": str(PEMS / "localhost.pem")} | values))


def client_context(**changes):
    context = ssl.create_default_context(cafile=PEMS / "ca.pem")
    for name, value in changes.items():
        setattr(context, name, value)
    return context


def shake(context, name="localhost", client=None, session=None):
    """A whole handshake and a byte in each direction: the client's side, and the server's."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = client or client_context()
    client.check_hostname = client.check_hostname and name is not None
    theirs = client.wrap_bio(to_client, to_server, server_hostname=name, session=session)
    ours = context.wrap_bio(to_server, to_client, server_side=True)
    for side in (theirs, ours, theirs, ours):
        try:
            side.do_handshake()
        except ssl.SSLWantReadError:
            continue
    ours.write(b"x")
    assert theirs.read(1) == b"x"
    return theirs, ours


def shown(certificates, name="localhost", **more):
    """The common name of the certificate that a client gets."""
    client = client_context(check_hostname=False)
    theirs, _ = shake(certificates.context, name, client, **more)
    return dict(part[0] for part in theirs.getpeercert()["subject"])["commonName"]


def problem(**changes):
    with pytest.raises(ConfigError) as caught:
        Certificates.load(settings(**changes))
    return str(caught.value)


# -- what is shown


def test_without_a_certificate_there_is_nothing():
    assert Certificates.load(Settings.defaults()) is None


@pytest.mark.parametrize(
    "files", [{"certfile": "localhost.pem"}, {"certfile": "localhost.crt", "keyfile": "localhost.key"}]
)
def test_clients_get_the_certificate(files):
    assert shown(Certificates.load(settings(**files))) == "localhost"


def test_the_context_is_what_the_plan_says():
    context = Certificates.load(settings()).context
    assert context.minimum_version is ssl.TLSVersion.TLSv1_2
    for option in (ssl.OP_NO_COMPRESSION, ssl.OP_NO_RENEGOTIATION, ssl.OP_CIPHER_SERVER_PREFERENCE):
        assert context.options & option
    client = client_context()
    client.set_alpn_protocols(["h2", "http/1.1"])
    assert shake(context, client=client)[0].selected_alpn_protocol() == "http/1.1"


def test_ciphers_are_the_operators():
    certificates = Certificates.load(settings(ciphers="ECDHE-ECDSA-AES128-GCM-SHA256"))
    client = client_context(maximum_version=ssl.TLSVersion.TLSv1_2)
    assert shake(certificates.context, client=client)[0].cipher()[0] == "ECDHE-ECDSA-AES128-GCM-SHA256"


NAMED = {"shop.example": (str(PEMS / "shop.pem"), None), "*.example": (str(PEMS / "wildcard.pem"), None)}


@pytest.mark.parametrize(
    ("name", "common_name"),
    [
        ("shop.example", "shop.example"),
        ("SHOP.example", "shop.example"),
        ("blog.example", "any.example"),
        ("a.blog.example", "localhost"),
        ("localhost", "localhost"),
        (None, "localhost"),
    ],
)
def test_the_name_decides(name, common_name):
    assert shown(Certificates.load(settings(sni_certificates=NAMED)), name) == common_name


@pytest.mark.parametrize("name", ["localhost", "shop.example"])
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_clients_are_asked_for_certificates_under_every_name(name, version):
    asking = settings(sni_certificates=NAMED, ca_certs="ca.pem", cert_reqs=2)
    client = client_context(maximum_version=version)
    client.load_cert_chain(PEMS / "client.pem")
    _, ours = shake(Certificates.load(asking).context, name, client)
    assert (("commonName", "a client"),) in ours.getpeercert()["subject"]
    with pytest.raises(ssl.SSLError, match=r"(?i)peer did not return a certificate"):
        shake(Certificates.load(asking).context, name, client_context(maximum_version=version))


def test_a_client_of_another_authority_is_refused():
    asking = settings(ca_certs="other-ca.pem", cert_reqs=1)
    client = client_context()
    client.load_cert_chain(PEMS / "client.pem")
    with pytest.raises(ssl.SSLCertVerificationError):
        shake(Certificates.load(asking).context, client=client)


# -- what is wrong


def copies(tmp_path, **contents):
    for name, content in contents.items():
        (tmp_path / f"{name}.pem").write_bytes(content)
    return {name: str(tmp_path / f"{name}.pem") for name in contents}


def damaged(name):
    return (PEMS / name).read_bytes().replace(b"MII", b"MIX").replace(b"MIG", b"MIX")


@pytest.mark.parametrize(
    ("certificate", "key", "text"),
    [
        (b"", None, 'certfile: expected a certificate in PEM in "{cert}", found none'),
        (b"hello", "localhost.key", 'certfile: expected a certificate in PEM in "{cert}", found none'),
        (
            "localhost.crt",
            None,
            'certfile: expected a private key in PEM in "{cert}", found none (from default); '
            "add it there, or name its own file by keyfile",
        ),
        ("localhost.crt", b"", 'keyfile: expected a private key in PEM in "{key}", found none'),
        ("localhost.crt", "renewed.pem", 'keyfile: the key in "{key}" does not belong to the certificate in "{cert}"'),
        ("localhost.crt", "rsa.pem", 'keyfile: the key in "{key}" does not belong to the certificate in "{cert}"'),
        ("localhost.crt", "encrypted.key", 'keyfile: the key in "{key}" has a password (from default); write it with'),
        (damaged("localhost.crt"), "localhost.key", 'certfile: cannot load "{cert}" and "{key}": damaged, or cut sho'),
        (damaged("localhost.pem"), None, 'certfile: cannot load "{cert}": damaged, or cut short'),
        ((PEMS / "localhost.crt").read_bytes()[:200], "localhost.key", 'certfile: cannot load "{cert}" and "{key}"'),
    ],
)
def test_a_bad_pair_is_told_with_setting_file_and_cure(tmp_path, certificate, key, text):
    def content(source):
        return source if isinstance(source, bytes) else (PEMS / source).read_bytes()

    paths = copies(tmp_path, cert=content(certificate), key=content(key or b""))
    found = problem(certfile=paths["cert"], **({} if key is None else {"keyfile": paths["key"]}))
    assert found.startswith(text.format(**paths))


def test_a_file_that_cannot_be_read_is_told(tmp_path):
    assert problem(certfile=str(tmp_path / "no")) == (
        f'certfile: cannot read "{tmp_path}/no": no such file or directory (from default)'
    )
    assert problem(keyfile=str(tmp_path)).startswith(f'keyfile: cannot read "{tmp_path}": is a directory')
    assert problem(ca_certs=str(tmp_path), cert_reqs=2).startswith("ca_certs: cannot read")
    named = {"a.example": (str(PEMS / "localhost.crt"), str(tmp_path))}
    assert problem(sni_certificates=named).startswith("sni_certificates: cannot read")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everywhere")
def test_a_file_that_may_not_be_read_is_told(tmp_path):
    shutil.copy(PEMS / "localhost.pem", tmp_path / "a.pem")
    (tmp_path / "a.pem").chmod(0)
    assert problem(certfile=str(tmp_path / "a.pem")).endswith(
        "permission denied (from default); it is the master that reads it"
    )


def test_other_settings_are_told():
    assert problem(ciphers="NONSENSE").startswith(
        'ciphers: expected OpenSSL\'s names of ciphers of TLS 1.2, got "NONSENSE" (from default); `openssl ciphers'
    )
    assert problem(ca_certs="localhost.key", cert_reqs=2).startswith("ca_certs: expected certificates in PEM in")
    named = {"a.example": (str(PEMS / "localhost.crt"), None)}
    assert problem(sni_certificates=named).startswith("sni_certificates: expected a private key in PEM")


def test_certificates_that_no_client_accepts_are_doubted():
    assert Certificates.load(settings(sni_certificates=NAMED, cert_reqs=2, ca_certs="ca.pem")).doubts() == []
    expired = Certificates.load(settings(certfile="expired.pem"))
    assert expired.doubts() == [(str(PEMS / "expired.pem"), "certificate has expired")]


# -- files that change


@pytest.fixture
def live(tmp_path):
    """A directory with certificate and key, as a renewal leaves it."""
    install(tmp_path, "localhost")
    return tmp_path


def install(directory, name, *parts):
    """`parts`: crt, key; both when none is named."""
    text = (PEMS / f"{name}.pem").read_text()
    found = {"key": re.search("-----BEGIN PRIVATE KEY-----.*", text, re.S)[0]}
    found["crt"] = text.replace(found["key"], "")
    for part in parts or ("crt", "key"):
        (directory / f"new.{part}").write_text(found[part])
        os.rename(directory / f"new.{part}", directory / f"live.{part}")


def live_settings(live, **more):
    return settings(certfile=str(live / "live.crt"), keyfile=str(live / "live.key"), **more)


def looks(certificates):
    return certificates.look() or certificates.look()


@pytest.mark.parametrize("name", ["renewed", "rsa"])
def test_a_renewed_certificate_is_used_for_new_clients(live, name):
    certificates = Certificates.load(live_settings(live))
    assert looks(certificates) == []
    install(live, name)
    assert sorted(looks(certificates)) == [str(live / "live.crt"), str(live / "live.key")]
    assert looks(certificates) == []
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        client = client_context(maximum_version=version)
        theirs, _ = shake(certificates.context, client=client)
        assert theirs.getpeercert()["subject"] == ((("commonName", name),),)


def test_a_client_that_knows_one_kind_of_key_only_never_gets_the_former_certificate(live):
    install(live, "rsa")
    certificates = Certificates.load(live_settings(live))
    install(live, "renewed")
    looks(certificates)
    client = client_context(maximum_version=ssl.TLSVersion.TLSv1_2)
    client.set_ciphers("ECDHE+aRSA")
    with pytest.raises(ssl.SSLError, match="NO_SHARED_CIPHER"):
        shake(certificates.context, client=client)


def test_a_half_written_pair_is_refused_once_and_the_former_stays(live):
    certificates = Certificates.load(live_settings(live))
    install(live, "renewed", "crt")
    with pytest.raises(ConfigError, match="does not belong"):
        looks(certificates)
    assert looks(certificates) == []
    assert shown(certificates) == "localhost"
    install(live, "renewed", "key")
    assert looks(certificates) == [str(live / "live.key")]
    assert shown(certificates) == "renewed"


def test_a_file_that_vanishes_is_refused_once_and_taken_when_it_is_back(live):
    certificates = Certificates.load(live_settings(live))
    os.rename(live / "live.key", live / "away")
    with pytest.raises(ConfigError, match="no such file"):
        looks(certificates)
    os.rename(live / "away", live / "live.key")
    assert looks(certificates) == []  # what it was
    assert shown(certificates) == "localhost"


def test_a_touched_file_is_no_change(live):
    certificates = Certificates.load(live_settings(live))
    os.utime(live / "live.crt", (1, 1))
    assert looks(certificates) == []


def test_certificates_by_name_change_too(live):
    named = {"shop.example": (str(live / "live.crt"), str(live / "live.key"))}
    certificates = Certificates.load(settings(sni_certificates=named))
    install(live, "shop")
    assert looks(certificates)
    assert (shown(certificates, "shop.example"), shown(certificates)) == ("shop.example", "localhost")


def test_authorities_of_clients_change_too(live):
    shutil.copy(PEMS / "other-ca.pem", live / "ca.pem")
    certificates = Certificates.load(live_settings(live, ca_certs=str(live / "ca.pem"), cert_reqs=2))
    client = client_context()
    client.load_cert_chain(PEMS / "client.pem")
    with pytest.raises(ssl.SSLCertVerificationError):
        shake(certificates.context, client=client)
    shutil.copy(PEMS / "ca.pem", live / "ca.pem")
    assert looks(certificates) == [str(live / "ca.pem")]
    shake(certificates.context, client=client)


def test_a_worker_takes_the_contents_without_the_files(live):
    master, worker = (Certificates.load(live_settings(live)) for _ in range(2))
    install(live, "renewed")
    looks(master)
    shutil.rmtree(live)
    worker.renew(unpack(pack(master.contents)))
    assert shown(worker) == "renewed"


def test_contents_that_cannot_be_used_change_nothing(live):
    certificates = Certificates.load(live_settings(live))
    contents = dict.fromkeys(certificates.contents, b"")
    with pytest.raises(ConfigError):
        certificates.renew(contents)
    assert shown(certificates) == "localhost"
    assert certificates.contents != contents


# -- sessions


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize("name", ["localhost", "shop.example"])
@pytest.mark.parametrize("renewed", [False, True])
def test_a_session_that_another_process_began_is_resumed(live, version, name, renewed):
    """The master makes the context, and forks: the child's first handshake is the parent's second."""
    certificates = Certificates.load(live_settings(live, sni_certificates=NAMED))
    client = client_context(maximum_version=version)
    ours, theirs = os.pipe()
    if renewed:
        install(live, "renewed")
        assert looks(certificates)
    first, _ = shake(certificates.context, name, client)
    pid = os.fork()
    if pid == 0:
        _, server = shake(certificates.context, name, client, first.session)
        os.write(theirs, b"resumed" if server.session_reused else b"full")
        os._exit(0)
    os.waitpid(pid, 0)
    assert os.read(ours, 100) == b"resumed"
    os.close(ours)
    os.close(theirs)


# -- the hook


def customized(hook, **changes):
    return Certificates.load(settings(**changes), lambda factory: hook(None, factory))


def test_the_hook_may_change_the_default_context(live):
    def hook(_config, factory):
        context = factory()
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        return context

    certificates = Certificates.load(live_settings(live), lambda factory: hook(None, factory))
    assert shake(certificates.context)[0].version() == "TLSv1.3"
    with pytest.raises(ssl.SSLError, match="UNSUPPORTED_PROTOCOL"):
        shake(certificates.context, client=client_context(maximum_version=ssl.TLSVersion.TLSv1_2))
    before = certificates.context
    install(live, "renewed")
    assert looks(certificates)
    assert certificates.context is before
    assert shown(certificates) == "renewed"
    with pytest.raises(ssl.SSLError, match="UNSUPPORTED_PROTOCOL"):
        shake(certificates.context, client=client_context(maximum_version=ssl.TLSVersion.TLSv1_2))


def own_context(name="shop"):
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(PEMS / f"{name}.pem")
    return context


def test_the_hook_may_make_its_own_context_which_is_left_alone(live):
    own = own_context()
    certificates = Certificates.load(live_settings(live), lambda factory: own)
    assert certificates.context is own
    assert own.options & ssl.OP_NO_RENEGOTIATION
    install(live, "renewed")
    assert looks(certificates) == []
    assert shown(certificates, "shop.example") == "shop.example"


def test_the_hook_makes_the_contexts_of_names_too():
    made = []

    def hook(_config, factory):
        made.append(factory())
        return made[-1]

    certificates = customized(hook, sni_certificates=NAMED)
    assert len(made) == 3
    assert (shown(certificates, "shop.example"), shown(certificates)) == ("shop.example", "localhost")


def test_a_callback_of_the_hook_has_the_last_word():
    other = own_context()

    def hook(_config, factory):
        context = factory()
        context.sni_callback = lambda connection, name, initial: setattr(connection, "context", other)
        return context

    assert shown(customized(hook), "shop.example") == "shop.example"


def test_with_a_hook_a_key_alone_turns_tls_on():
    alone = Settings.defaults(keyfile=str(PEMS / "shop.pem"), hooks=Hooks(ssl_context=lambda config, factory: None))
    certificates = Certificates.load(alone, lambda factory: own_context())
    assert shown(certificates, "shop.example") == "shop.example"
    with pytest.raises(
        ConfigError, match=r"^ssl_context: the hook asked for the default context, which needs certfile"
    ):
        Certificates.load(alone, lambda factory: factory())


@pytest.mark.parametrize(
    ("returned", "text"),
    [
        (None, "ssl_context: expected the hook to return an ssl.SSLContext, got None"),
        ("text", 'ssl_context: expected the hook to return an ssl.SSLContext, got "text"'),
        (ssl.create_default_context(), "ssl_context: the hook returned a context for clients (from default); make it"),
    ],
)
def test_what_is_no_context_for_a_server_is_told(returned, text):
    with pytest.raises(ConfigError) as caught:
        customized(lambda config, factory: returned)
    assert str(caught.value).startswith(text)


def test_the_hook_of_the_guide_does_what_it_says():
    guide = runpy.run_path(str(PEMS.parents[1] / "docs/how-to/tls.conf.py"))
    certificates = customized(guide["ssl_context"])
    assert shake(certificates.context)[0].version() == "TLSv1.3"
    with pytest.raises(ssl.SSLError, match="UNSUPPORTED_PROTOCOL"):
        shake(certificates.context, client=client_context(maximum_version=ssl.TLSVersion.TLSv1_2))


def test_a_key_with_a_password_is_the_hooks_to_load(tmp_path):
    def hook(factory):
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(PEMS / "localhost.crt", PEMS / "encrypted.key", "secret")
        return context

    named = settings(certfile=str(PEMS / "localhost.crt"), keyfile=str(PEMS / "encrypted.key"))
    certificates = Certificates.load(named, hook)
    assert certificates.doubts() == []
    assert shown(certificates) == "localhost"
    certificates.renew(certificates.contents)
    assert shown(certificates) == "localhost"


def test_what_the_hooks_context_does_not_take_is_put_back(live):
    def hook(factory):
        context = factory()
        context.set_ciphers("DEFAULT:@SECLEVEL=3")  # no RSA key of 2048 bits
        return context

    certificates = Certificates.load(live_settings(live), hook)
    before = shown(certificates)
    install(live, "rsa")
    with pytest.raises(ConfigError):
        looks(certificates)
    assert shown(certificates) == before


def test_a_file_that_may_be_read_only_later_is_tried_again(live, monkeypatch):
    certificates = Certificates.load(live_settings(live))
    install(live, "renewed")
    with monkeypatch.context() as patch:

        def read(self):
            raise PermissionError(13, "Permission denied", "x")

        patch.setattr("ostler.process.certificate_files.WatchedFiles.read", read)
        with pytest.raises(ConfigError):
            looks(certificates)
        assert looks(certificates) == []  # said once
    assert looks(certificates)
    assert shown(certificates) == "renewed"

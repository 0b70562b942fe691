"""The server's certificates, as the SSL contexts that show them to clients.

They are made in the master, once for each generation, and workers inherit them: the keys of session tickets are the
context's, so a session that one worker began is resumed by all of them. For the same reason a context lives as long as
its generation, and changed files are taken up beside it: new contexts are made of them, and the callback of SNI puts
each connection into the one that it needs. Contexts that a user's hook has made stay what the hook made of them, and
the certificate is exchanged inside, if it came from the default factory; others are the user's affair.

    master   Certificates.load -> fork -> look(), once a second -> contents -> to the workers of the generation
    worker   .context for each client; renew(contents)

Rules for editing: nothing is changed before everything that changes was seen to load. What OpenSSL says of a bad file
("PEM lib") helps nobody: each case has its own words here, with the setting, the file and the cure.
"""

import re
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from ostler.config.origins import origin_phrase
from ostler.config.parse import quoted
from ostler.config.settings import Settings
from ostler.errors import ConfigError, reason_of
from ostler.process.certificate_files import Contents, WatchedFiles, named
from ostler.process.server_names import listen_for_names, pick

Factory = Callable[[], ssl.SSLContext]
Customize = Callable[[Factory], object]
"""Calls the user's hook with the default factory; returns what it returned, or raises ConfigError."""

_PROTOCOLS: Final = ["http/1.1"]
_CERTIFICATE: Final = re.compile(rb"-----BEGIN (TRUSTED |X509 )?CERTIFICATE-----")
_KEY: Final = re.compile(rb"-----BEGIN ([A-Z0-9]+ )*PRIVATE KEY-----")
_MISMATCH: Final = ("KEY_VALUES_MISMATCH", "KEY_TYPE_MISMATCH", "NO_CERTIFICATE_ASSIGNED")
_TOO_WEAK: Final = ("EE_KEY_TOO_SMALL", "CA_KEY_TOO_SMALL", "CA_MD_TOO_WEAK")


@dataclass(frozen=True, slots=True)
class Pair:
    """A certificate and its key, as settings name them. host: "" for the default certificate."""

    host: str
    certificate: str
    key: str | None

    @property
    def keys_file(self) -> str:
        return self.key or self.certificate

    @property
    def settings(self) -> tuple[str, str]:
        """The settings that name the certificate and the key."""
        if self.host:
            return "sni_certificates", "sni_certificates"
        return "certfile", "keyfile" if self.key else "certfile"


class _Encrypted(Exception):
    """A key asks for its password."""


class Certificates:
    """Those of one generation."""

    def __init__(self, settings: Settings, customize: Customize | None) -> None:
        """See `load`."""
        self._settings = settings
        self._pairs = _pairs(settings)
        self._files = WatchedFiles(_paths(settings, self._pairs))  # before they are read: a later change is seen
        self._contents: Contents = self._read()
        self._by_factory: dict[str, ssl.SSLContext] = {}  # those of a hook that came from the default factory
        self._hooked = customize is not None
        self._complaint = ""
        self._renewed: ssl.SSLContext | None = None
        self._named: dict[str, ssl.SSLContext] = {}
        if customize is None:
            made = {pair.host: self._make(pair) for pair in self._pairs}
        else:
            hosts = ["", *settings.sni_certificates]
            made = {host: self._customized(host, customize) for host in hosts}
        self.context = made.pop("")
        """What every connection begins with."""
        self._named = made
        listen_for_names(self.context, self._choose)

    @classmethod
    def load(cls, settings: Settings, customize: Customize | None = None) -> "Certificates | None":
        """The certificates of `settings`; None when TLS is off. customize: when there is a hook.

        Raises:
            ConfigError: a file that is not there, cannot be read, or does not hold what it should; a hook that returns
            no context for a server.
        """
        return cls(settings, customize) if settings.is_tls else None

    def doubts(self) -> list[tuple[str, str]]:
        """Certificates that no client will accept, whatever authorities it knows: (file, why). Not for each client."""
        found = []
        for pair in self._ours:
            doubt = _doubt(self._make(pair), self._contents[pair.certificate])
            if doubt is not None:
                found.append((pair.certificate, doubt))
        return found

    # -- changes

    def look(self) -> list[str]:
        """Whether files have changed: then they are used here, and named. For the master, about once a second.

        Raises:
            ConfigError: they have changed, and cannot be used; the former ones stay. Said once for each change.
        """
        changed = self._files.changed()
        if not changed or not self._ours:
            return []
        try:
            contents = self._read()
        except ConfigError as error:
            self._files.forget()  # what cannot be read now may be readable at the next look, unchanged
            if str(error) == self._complaint:
                return []
            self._complaint = str(error)
            raise
        self._complaint = ""
        if contents == self._contents:
            return []
        self.renew(contents)
        return changed

    @property
    def _ours(self) -> list[Pair]:
        """The pairs that are in contexts of ours; a hook may have loaded others itself, in its own way."""
        return [pair for pair in self._pairs if not self._hooked or pair.host in self._by_factory]

    @property
    def contents(self) -> Contents:
        """What is used now, by file: for `renew` in a worker."""
        return self._contents

    def renew(self, contents: Contents) -> None:
        """Use these contents of the files from now on. Raises ConfigError, and has changed nothing then."""
        former, self._contents = self._contents, contents
        try:
            made = {pair.host: self._make(pair) for pair in self._ours}
            self._fill_hooked()
        except ConfigError:
            self._contents = former
            self._fill_hooked()
            raise
        if not self._hooked:
            self._renewed = made.pop("")
            self._named = made

    def _fill_hooked(self) -> None:
        for host, context in self._by_factory.items():
            self._fill(context, next(pair for pair in self._pairs if pair.host == host))

    def _choose(self, name: str | None) -> ssl.SSLContext | None:
        found = None if name is None else pick(self._named, name)
        return found or self._renewed

    # -- contexts

    def _make(self, pair: Pair) -> ssl.SSLContext:
        """The context that is used as it is without a hook."""
        settings = self._settings
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_CIPHER_SERVER_PREFERENCE | ssl.OP_NO_RENEGOTIATION
        context.set_alpn_protocols(_PROTOCOLS)
        self._fill(context, pair)
        context.verify_mode = ssl.VerifyMode(settings.cert_reqs)
        if settings.ciphers is not None:
            try:
                context.set_ciphers(settings.ciphers)
            except ssl.SSLError:
                found = quoted(settings.ciphers)
                cure = "`openssl ciphers -v LIST` shows what a list holds"
                raise self._error(
                    "ciphers", f"expected OpenSSL's names of ciphers of TLS 1.2, got {found}", cure
                ) from None
        return context

    def _customized(self, host: str, customize: Customize) -> ssl.SSLContext:
        """What the hook makes of it."""
        pair = next((each for each in self._pairs if each.host == host), None)
        made: list[ssl.SSLContext] = []

        def factory() -> ssl.SSLContext:
            if pair is None:
                raise self._error("ssl_context", "the hook asked for the default context, which needs certfile")
            made.append(self._make(pair))
            return made[-1]

        context = customize(factory)
        if not isinstance(context, ssl.SSLContext):
            raise self._error("ssl_context", f"expected the hook to return an ssl.SSLContext, got {quoted(context)}")
        try:
            context.wrap_bio(ssl.MemoryBIO(), ssl.MemoryBIO(), server_side=True)
        except ssl.SSLError:
            cure = "make it with ssl.Purpose.CLIENT_AUTH, or by the factory"
            raise self._error("ssl_context", "the hook returned a context for clients", cure) from None
        context.options |= ssl.OP_NO_RENEGOTIATION
        if any(each is context for each in made):
            self._by_factory[host] = context
        return context

    def _fill(self, context: ssl.SSLContext, pair: Pair) -> None:
        """Give `context` what is in files."""
        certificate, key = self._contents[pair.certificate], self._contents[pair.keys_file]
        self._check(pair, certificate, key)
        try:
            with named(certificate) as certificates_name, named(key) as keys_name:
                context.load_cert_chain(certificates_name, keys_name, _refuse)
        except _Encrypted:
            cure = "write it without one (openssl pkey -in FILE -out NEW), or give the password in the hook ssl_context"
            raise self._error(pair.settings[1], f'the key in "{pair.keys_file}" has a password', cure) from None
        except ssl.SSLError as error:
            raise self._unloadable(pair, error) from None
        except OSError as error:
            raise self._error("certfile", f"cannot load it: {reason_of(error)}") from error
        self._fill_authorities(context)

    def _fill_authorities(self, context: ssl.SSLContext) -> None:
        path = self._settings.ca_certs
        if path is None:
            return
        try:
            with named(self._contents[path]) as name:
                context.load_verify_locations(name)
        except ssl.SSLError:
            raise self._error(
                "ca_certs", f'expected certificates in PEM in "{path}", found none that can be read'
            ) from None
        except OSError as error:
            raise self._error("ca_certs", f"cannot load it: {reason_of(error)}") from error

    # -- errors

    def _read(self) -> dict[str, bytes]:
        try:
            return self._files.read()
        except OSError as error:
            cure = "it is the master that reads it" if isinstance(error, PermissionError) else ""
            name = self._setting_of(str(error.filename))
            raise self._error(name, f'cannot read "{error.filename}": {reason_of(error)}', cure) from error

    def _setting_of(self, path: str) -> str:
        for pair in self._pairs:
            for name, file in zip(pair.settings, (pair.certificate, pair.keys_file), strict=True):
                if file == path:
                    return name
        return "ca_certs"

    def _check(self, pair: Pair, certificate: bytes, key: bytes) -> None:
        """That each file looks like what it should be."""
        certificates_setting, keys_setting = pair.settings
        if not _CERTIFICATE.search(certificate):
            found = f'expected a certificate in PEM in "{pair.certificate}", found none'
            raise self._error(certificates_setting, found)
        if not _KEY.search(key):
            cure = "" if pair.key else "add it there, or name its own file" + ("" if pair.host else " by keyfile")
            raise self._error(keys_setting, f'expected a private key in PEM in "{pair.keys_file}", found none', cure)

    def _unloadable(self, pair: Pair, error: ssl.SSLError) -> ConfigError:
        if error.reason in _MISMATCH:
            text = f'the key in "{pair.keys_file}" does not belong to the certificate in "{pair.certificate}"'
            cure = "the server's own certificate comes first in its file, before those of its authorities"
            return self._error(pair.settings[1], text, cure)
        if error.reason in _TOO_WEAK:
            text = f'OpenSSL takes the certificate in "{pair.certificate}" for too weak ({_words(error)})'
            return self._error(pair.settings[0], text, "get one with a longer key or a newer hash")
        files = " and ".join(f'"{path}"' for path in dict.fromkeys((pair.certificate, pair.keys_file)))
        return self._error(pair.settings[0], f"cannot load {files}: damaged, or cut short ({_words(error)})")

    def _error(self, setting: str, text: str, cure: str = "") -> ConfigError:
        origin = origin_phrase(self._settings.origin(setting))
        return ConfigError(f"{setting}: {text} (from {origin})" + (f"; {cure}" if cure else ""))


def _pairs(settings: Settings) -> tuple[Pair, ...]:
    found = [Pair(host, *files) for host, files in settings.sni_certificates.items()]
    if settings.certfile is not None:
        found.insert(0, Pair("", settings.certfile, settings.keyfile))
    return tuple(found)


def _paths(settings: Settings, pairs: tuple[Pair, ...]) -> list[str]:
    paths = [path for pair in pairs for path in (pair.certificate, pair.keys_file)]
    return paths if settings.ca_certs is None else [*paths, settings.ca_certs]


def _refuse() -> str:
    """In place of OpenSSL's question on the terminal."""
    raise _Encrypted


def _words(error: ssl.SSLError) -> str:
    return (error.reason or "PEM").replace("_", " ").lower()


def _doubt(context: ssl.SSLContext, certificate: bytes) -> str | None:
    """What is wrong with `certificate` for a client that trusts it: expired, not yet valid, not for servers.

    Found out by letting a client say it, over as much of a handshake as that takes: ssl has no other way to a date.
    """
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname = False
    client.verify_flags = ssl.VERIFY_X509_PARTIAL_CHAIN
    with named(certificate) as name:
        client.load_verify_locations(name)
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    theirs = client.wrap_bio(to_client, to_server)
    ours = context.wrap_bio(to_server, to_client, server_side=True)
    for side in (theirs, ours, theirs):
        try:
            side.do_handshake()
        except ssl.SSLCertVerificationError as error:
            return str(error.verify_message)
        except ssl.SSLWantReadError:
            continue
        except ssl.SSLError:
            return None  # nothing about the certificate: no cipher in common, or the like
    return None

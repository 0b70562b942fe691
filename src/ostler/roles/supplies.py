"""New log files and certificates, on their way from the master to its children.

The master opens logs and reads certificates, for workers may not be allowed to; molds are given them, too, for the
workers that they fork later, and so are workers that are not born yet.

Rules for editing: nothing blocks; a child that cannot be told keeps what it has.
"""

import logging
import os
from collections.abc import Callable

from ostler.errors import ConfigError, reason_of
from ostler.logline import fields
from ostler.process import certificate_files
from ostler.process.certificates import Certificates
from ostler.process.channel import CertificateFiles, LogFiles
from ostler.roles import reports
from ostler.roles.children import Child, Children
from ostler.roles.generation import Generation
from ostler.roles.journal import Journal
from ostler.roles.living import LivingGenerations


class Supplies:
    def __init__(self, generations: LivingGenerations, children: Children, log: Callable[[], logging.Logger]) -> None:
        """log: the current error log."""
        self._generations = generations
        self._children = children
        self._log = log

    # -- logs

    def reopen_logs(self) -> None:
        """USR1: every log is opened by its name again, here, and the children are given what was opened."""
        for journal in self._generations.journals():
            self._pass_on(journal, *journal.logs.reopen(), others=True)

    def tick_logs(self) -> None:
        """Once a second: what waited is written, what is due is rotated."""
        for journal in self._generations.journals():
            journal.flush()
            rotated = journal.logs.tick()
            if rotated is not None:
                self._pass_on(journal, *rotated, others=False)

    def _pass_on(self, journal: Journal, names: tuple[str, ...], fds: tuple[int, ...], *, others: bool) -> None:
        for child in self._children.all():
            if child.generation.journal is journal:
                self._send(child, LogFiles(names, others=others), fds, "logs", "they are opened or rotated again")

    # -- certificates

    def tick_certificates(self) -> None:
        """Once a second: changed files are used, here for later forks, and in the children."""
        for generation in self._generations.all():
            certificates = generation.certificates
            if certificates is None:
                continue
            try:
                changed = certificates.look()
            except ConfigError as error:
                text = "changed certificates are not used, the former ones stay"
                self._log().warning("%s", fields(text, gen=generation.number, error=error))
                continue
            if changed:
                self._log().info("%s", fields("certificates changed", gen=generation.number, files=",".join(changed)))
                self._send_certificates(generation, certificates)
                reports.tell_doubts(self._log(), certificates)

    def _send_certificates(self, generation: Generation, certificates: Certificates) -> None:
        try:
            fd = certificate_files.pack(certificates.contents)
        except OSError as error:
            text = "workers keep the former certificates; the next ones that start have the new ones"
            self._log().warning("%s", fields(text, gen=generation.number, error=reason_of(error)))
            return
        try:
            for child in self._children.all():
                if child.generation is generation:
                    self._send(child, CertificateFiles(), (fd,), "certificates", "it is replaced")
        finally:
            os.close(fd)

    def _send(
        self, child: Child, message: LogFiles | CertificateFiles, fds: tuple[int, ...], what: str, until: str
    ) -> None:
        try:
            child.channel.send(message, fds)
        except OSError as error:  # EMFILE
            text = f"a worker keeps the former {what}; it has the new ones when {until}"
            self._log().warning("%s", fields(text, pid=child.pid, error=reason_of(error)))

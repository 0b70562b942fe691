"""New certificates, as a worker or a mold takes them up.

Rules for editing: what cannot be used changes nothing, and the log says so.
"""

import errno
import logging
import os

from ostler.errors import OstlerError, reason_of
from ostler.logline import fields
from ostler.process import certificate_files
from ostler.process.certificates import Certificates


def take_certificates(certificates: Certificates | None, fds: tuple[int, ...], log: logging.Logger) -> None:
    """Those that came with a CertificateFiles are new clients' from now on; the master has seen them load."""
    try:
        if certificates is None or not fds:
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))  # the descriptor was lost on its way
        certificates.renew(certificate_files.unpack(*fds))
    except (OSError, ValueError, OstlerError) as error:
        reason = reason_of(error) if isinstance(error, OSError) else error
        text = "a worker keeps the former certificates; it has the new ones when it is replaced"
        log.warning("%s", fields(text, pid=os.getpid(), error=reason))

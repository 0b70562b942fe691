"""Where reading a setting differs from Gunicorn on purpose, with the reason; `test_table.py` holds us to it.

A line that is not needed fails there, too. Differences of meaning are in the notes of the table's entries.
"""

from ostler.config.sections import ENTRIES, TABLE
from ostler.config.setting import Support, Takes

# Where our default is another one.
OTHER_DEFAULTS = {
    "config": "the two default names are looked for when the configuration is read",
    "keepalive": "75 s: a server that closes before its proxy does makes 502s (Setting.note)",
    "sendfile": "unset means on; the value says so",
    "chdir": "the same directory, as a path that is made absolute later",
    "default_proc_name": "the application's name (Setting.note)",
    "control_socket": "unset is the default path, which the server looks for when it starts",
    "ssl_version": "means nothing, so it has no value",
}
LATE = "Gunicorn takes any text and fails when it uses it; here it fails at the start, with the name of the setting"
NO_ZERO = "0 is an error (Setting.note)"
LISTS = "Gunicorn takes anything that is false, or iterable, for a list"
# Values that Gunicorn accepts, and we do not.
STRICTER = {
    "config": LATE,
    "wsgi_app": LATE,
    "bind": LATE,
    "chdir": "empty text is no directory",
    "worker_class": LATE,
    "workers": NO_ZERO,
    "threads": NO_ZERO,
    "worker_connections": NO_ZERO,
    "header_map": "None, which Gunicorn takes for refuse",
    "protocol": "Gunicorn takes any other word, and None, for http",
    "keyfile": LATE,
    "certfile": LATE,
    "cert_reqs": LATE,
    "raw_env": LATE,
    "raw_paste_global_conf": LATE,
    "reload_extra_files": LISTS,
    "tmp_upload_dir": "it acts here, so it must be a directory (Setting.note)",
    "paste": LATE,
    "root_path": "what does not begin with / is no path (Setting.note)",
    "user": "True is no user, and -1 is the system's word for no change",
    "group": "as user",
    "umask": "there are nine permission bits",
    "control_socket_mode": "as umask",
    "secure_scheme_headers": "values that are no text can match no field",
    "accesslog": "empty text is no file: Gunicorn fails when it opens it",
    "errorlog": "empty text is no file: Gunicorn fails when it opens it",
    "access_log_format": "None and empty text make no line",
    "loglevel": "an unknown level is an error (Setting.note)",
    "logger_class": LATE,
    "logconfig": LATE,
    "logconfig_json": LATE,
    "syslog_addr": LATE,
    "syslog_facility": LATE,
    "statsd_host": "a host with a slash or a blank can be no host",
}
OFF = "None leaves the feature off"
# Values that we accept, and Gunicorn does not.
LOOSER = {
    **{entry.name: OFF for entry in ENTRIES if entry.support is Support.REFUSED},
    **{
        entry.name: "0x10 on the command line, as in files"
        for entry in TABLE
        if entry.takes is Takes.INTEGER and entry.gunicorn and entry.name != "cert_reqs"  # 2 at most
    },
    "workers": "`auto` (Setting.note), and 0x10 on the command line",
    "reload_extra_files": "blanks are no file",
    "user": "blanks around a number",
    "group": "as user",
}
PLACED = "made absolute"
# Values that both accept, and that are kept in another form.
OTHER_VALUES = {
    "bind": "an address with its port",
    "sendfile": "True is on (Setting.note)",
    "pythonpath": PLACED,
    "pidfile": PLACED,
    "control_socket": PLACED,
    "reload_extra_files": PLACED,
    "accesslog": PLACED,
    "ca_certs": PLACED,
    "errorlog": PLACED,
    "limit_request_fields": "0 is the hard cap, as Gunicorn's parser takes it",
    "loglevel": "in lower case, as Gunicorn's logger takes it",
    "proc_name": "unset: the application's name",
    "default_proc_name": "unset: the application's name",
    "statsd_host": "an address",
    "syslog_addr": "an address",
    "raw_env": "blanks are nothing",
    "raw_paste_global_conf": "blanks are nothing",
    "forwarder_headers": "in upper case, as fields are compared",
}

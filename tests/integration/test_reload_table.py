"""What HUP does on a change of each setting is what its entry in the table says (`ReloadEffect`).

Every setting is changed once, and looked at by hooks in the master and in the workers.
"""

import json
import os
import re
from collections.abc import Iterator

import pytest

from ostler.config.sections import TABLE
from ostler.config.setting import ReloadEffect, Setting
from tests.integration.lab import Lab
from tests.integration.secure import CERTIFICATES

ROOT = os.geteuid() == 0
SUBJECTS = [setting for setting in TABLE if setting.acts and setting.in_files]

# Another value for each setting, as it stands in a file. One HUP for each dict: what is in one goes together.
TOGETHER = {
    "wsgi_app": "'plain:other'",
    "bind": "['BIND', 'unix:HOME/added']",
    "backlog": "77",
    "workers": "2",
    "worker_class": "'gthread'",
    "threads": "3",
    "worker_connections": "99",
    "max_requests": "100000",
    "max_requests_jitter": "7",
    "timeout": "31",
    "graceful_timeout": "32",
    "boot_timeout": "33",
    "keepalive": "34",
    "reload_check": "['/']",
    "reload_surge": "2",
    "reload_max_unavailable": "1",
    "reload_canary": "0.2",
    "max_worker_age": "1000",
    "max_worker_age_jitter": "8",
    "max_worker_memory": "'2G'",
    "max_worker_memory_jitter": "'9M'",
    "max_worker_memory_measure": "'pss'",
    "trace_memory": "True",
    "lame_duck": "0.1",
    "readiness_path": "['/ready']",
    "queue_timeout": "9.5",
    "health_paths": "['/alive']",
    "workers_min": "1",
    "workers_max": "3",
    "cpu_affinity": "'auto'",
    "chdir": "'HOME/elsewhere'",
    "pythonpath": "'HOME'",
    "raw_env": "['ADDED=1']",
    "pidfile": "'HOME/pid'",
    "sendfile": "False",
    "tmp_upload_dir": "'HOME'",
    "raw_paste_global_conf": "['a=b']",
    "initgroups": "True",
    "umask": "0o27",
    "secure_scheme_headers": "{'X-OTHER': 'yes'}",
    "forwarded_allow_ips": "'10.0.0.1'",
    "forwarder_headers": "'REMOTE_USER'",
    "header_map": "'refuse'",
    "request_buffering": "False",
    "request_timeout": "9.25",
    "request_timeout_hard": "19.5",
    "request_timeout_paths": "{'/reports': 300}",
    "kill_worker_children": "False",
    "mask_query": "True",
    "limit_request_line": "1000",
    "limit_request_fields": "50",
    "limit_request_field_size": "1000",
    "limit_request_body": "5000000",
    "handshake_timeout": "11",
    "header_timeout": "12.5",
    "body_timeout": "13",
    "body_min_rate": "14",
    "body_total_timeout": "15",
    "write_timeout": "16",
    "write_min_rate": "17",
    "lingering_timeout": "1.5",
    "asgi_loop": "'asyncio'",
    "asgi_lifespan": "'off'",
    "asgi_disconnect_grace_period": "20",
    "root_path": "'/api'",
    "websocket_max_message_size": "20000",
    "ws_ping_interval": "18",
    "ws_ping_timeout": "19",
    "ws_per_message_deflate": "False",
    "remote_addr_from": "'forwarded'",
    "trusted_hops": "2",
    "permit_obsolete_folding": "True",
    "strip_header_spaces": "True",
    "permit_unconventional_http_method": "True",
    "permit_unconventional_http_version": "True",
    "casefold_http_method": "True",
    "accesslog": "'HOME/access'",
    "access_log_format": "'%(m)s'",
    "access_log_skip": "['/health']",
    "errorlog": "'HOME/errors'",
    "loglevel": "'debug'",
    "error_log_json": "True",
    "capture_output": "True",
    "log_rotate_size": "'10M'",
    "log_rotate_interval": "'daily'",
    "log_rotate_keep": "3",
    "syslog": "True",
    "syslog_addr": "'udp://127.0.0.1:PORT'",
    "syslog_prefix": "'prefixed'",
    "syslog_facility": "'local3'",
    "disable_redirect_access_to_syslog": "True",
    "statsd_host": "'127.0.0.1:PORT'",
    "statsd_prefix": "'prefixed'",
    "dogstatsd_tags": "'a:b'",
    "enable_backlog_metric": "True",
    "proc_name": "'renamed'",
    "default_proc_name": "'renamed_too'",
    "reload": "True",
    "reload_engine": "'poll'",
    "reload_extra_files": "['HOME/*.html']",
}
ALONE: list[dict[str, str]] = [
    {"user": "65534", "group": "65534"} if ROOT else {},
    {"paste": "'HOME/app.ini'"},
    {"spew": "True"},
    {"preload_app": "True", "preload_unsafe": "'lazy'", "refork_after": "[500, 2000]"},
    {"logger_class": "type('Mine', (__import__('gunicorn.glogging').glogging.Logger,), {})"},
    {"logconfig": "'HOME/log.ini'"},
    {"logconfig_dict": "{'disable_existing_loggers': False}"},
    {"logconfig_json": "'HOME/log.json'"},
    {"proxy_protocol": "'v2'", "proxy_allow_ips": "'10.0.0.1'"},
    {"protocol": "'uwsgi'", "uwsgi_allow_ips": "'10.0.0.1'"},
    {
        "certfile": f"'{CERTIFICATES}/localhost.crt'",
        "keyfile": f"'{CERTIFICATES}/localhost.key'",
        "sni_certificates": f"{{'shop.example': '{CERTIFICATES}/shop.pem'}}",
        "ca_certs": f"'{CERTIFICATES}/ca.pem'",
        "cert_reqs": "1",
        "ciphers": "'ECDHE+AESGCM'",
        "suppress_ragged_eofs": "False",
    },
]
RESTART = {
    "control_socket": "'HOME/added.ctl'",
    "control_socket_mode": "0o660",
    "reuse_port": "True",
    "daemon": "True",
    "enable_stdio_inheritance": "True",
    "check_config": "True",
    "print_config": "True",
    "control_socket_disable": "True",
}

NOTE = """
def _values(cfg):
    return {name: repr(cfg.settings[name].value) for name in cfg.settings}

def _note(name, cfg):
    import json
    with open("HOME/" + name, "w") as file:
        json.dump(_values(cfg), file)

def on_reload(server):
    _note("seen_by_master", server.cfg)

def post_fork(server, worker):
    _note("seen_by_worker", worker.cfg)
"""

Seen = dict[str, dict[str, str]]
"""What master and worker saw: the value of each setting."""
Rounds = dict[str, tuple[Seen, Seen, str]]
"""Of each setting what was seen before the HUP that changed it and after it, and the log of that HUP."""


def seen(lab: Lab) -> Seen:
    return {who: json.loads((lab.home / f"seen_by_{who}").read_text()) for who in ("master", "worker")}


@pytest.fixture(scope="module")
def rounds() -> Iterator[Rounds]:
    lab = Lab(NOTE)
    lab.always += "if 'wsgi_app' not in globals(): wsgi_app = 'plain:application'\n"
    found: Rounds = {}
    lab.start()
    try:
        for changes in (*ALONE, TOGETHER, RESTART):
            lab.change()
            before = seen(lab)
            since = lab.change("\n".join(f"{name} = {value}" for name, value in changes.items()))
            errors = lab.home / "errors"
            log = lab.server.log(since) + (errors.read_text() if errors.exists() else "")
            found |= dict.fromkeys(changes, (before, seen(lab), log))
        lab.change()
        yield found
    finally:
        lab.end()


def test_every_setting_is_changed_once() -> None:
    changed = [name for changes in (*ALONE, TOGETHER, RESTART) for name in changes]
    assert len(changed) == len(set(changed))
    assert {setting.name for setting in SUBJECTS} - set(changed) <= (set() if ROOT else {"user", "group"})
    assert set(RESTART) == {setting.name for setting in SUBJECTS if setting.reload is ReloadEffect.RESTART}


@pytest.mark.parametrize("setting", SUBJECTS, ids=lambda setting: setting.name)
def test_change_has_the_effect_that_the_table_says(setting: Setting, rounds: Rounds) -> None:
    if setting.name not in rounds:
        pytest.skip("only root can change the user of workers")
    before, after, log = rounds[setting.name]
    told = re.findall(r"setting changed, which needs a restart; the former value stays.*\bsetting=(\w+)", log)
    changed = {who: after[who][setting.name] != before[who][setting.name] for who in ("master", "worker")}
    if setting.reload is ReloadEffect.RESTART:
        assert setting.name in told
        assert changed == {"master": False, "worker": False}
    else:
        assert setting.name not in told
        assert changed == {"master": True, "worker": True}

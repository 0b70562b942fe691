"""Which test covers which row of the surface.

A test of this folder says so itself: `@covers("setting:daemon", "signal:WINCH:master")`, and `@covers_each(rows)` for
one that is parametrized over rows. What a test elsewhere shows already is not shown twice: it stands in `ELSEWHERE`,
by file and function, and test_surface.py checks that the function is there.
"""

import importlib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final, TypeVar

from tests.compat.rows import Row
from tests.compat.surface import ROWS
from tests.compat.surface_running import ATOMS

Test = TypeVar("Test", bound=Callable[..., object])
FOLDER: Final = Path(__file__).parent
INTEGRATION: Final = "tests/integration"
RECYCLING: Final = "tests/unit/roles/test_recycling.py"
ACTS: Final = f"{INTEGRATION}/test_settings_act.py"

_covered: dict[str, set[str]] = {}


def covers(*keys: str) -> Callable[[Test], Test]:
    """Mark a test as showing these rows; KeyError for a row that is not there."""

    def mark(test: Test) -> Test:
        for key in keys:
            _covered.setdefault(ROWS[key].key, set()).add(f"{test.__module__}.{test.__name__}")
        return test

    return mark


def covers_each(rows: Iterable[Row]) -> Callable[[Test], Test]:
    """The same for a test that is parametrized over rows."""
    return covers(*(row.key for row in rows))


def covered_here() -> dict[str, set[str]]:
    """Key of a row -> the tests of this folder that show it."""
    for path in sorted(FOLDER.glob("test_*.py")):
        importlib.import_module(f"tests.compat.{path.stem}")
    return _covered


def files_of(key: str) -> list[str]:
    """The files of the tests that show a row, from the root of the repository."""
    here = {name.split(".")[-2] for name in covered_here().get(key, ())}
    elsewhere = [ELSEWHERE[key].partition("::")[0]] if key in ELSEWHERE else []
    return sorted([*(f"tests/compat/{name}.py" for name in here), *elsewhere])


def _acts(*names: str) -> dict[str, str]:
    """Settings that have a case of their own name in test_settings_act.py."""
    return {f"setting:{name}": f"{ACTS}::{name}" for name in names}


def _shown(file: str, test: str, *keys: str) -> dict[str, str]:
    """Rows that one integration test shows."""
    return dict.fromkeys(keys, f"{INTEGRATION}/{file}.py::{test}")


def _settings(file: str, **tests: str) -> dict[str, str]:
    """Settings with the tests that show them."""
    return {f"setting:{name}": f"{INTEGRATION}/{file}.py::{test}" for name, test in tests.items()}


ELSEWHERE: Final[dict[str, str]] = {
    **_acts("config", "wsgi_app", "bind", "backlog", "workers", "worker_class", "threads", "worker_connections"),
    **_acts("max_requests", "max_requests_jitter", "timeout", "graceful_timeout", "boot_timeout", "keepalive"),
    **_acts("asgi_lifespan", "mask_query"),
    **_settings(
        "test_asgi",
        asgi_loop="test_the_loop_is_the_one_that_was_asked_for",
        asgi_disconnect_grace_period="test_who_leaves_is_told_and_cancelled",
        root_path="test_the_scope_says_who_asks_for_what",
    ),
    **_acts("chdir", "pythonpath", "secure_scheme_headers", "forwarded_allow_ips", "forwarder_headers", "header_map"),
    **_acts("request_buffering", "limit_request_line", "limit_request_fields", "limit_request_field_size"),
    **_acts("accesslog", "access_log_format", "errorlog", "loglevel", "capture_output", "reload"),
    **_acts("check_config", "print_config", "reload_surge", "reload_max_unavailable", "reload_canary"),
    **_shown(
        "test_lame_duck",
        "test_a_lame_duck_serves_everything_but_its_readiness",
        *("setting:lame_duck", "setting:readiness_path"),
    ),
    **_settings(
        "test_preload",
        preload_app="test_a_generation_imports_once_and_its_workers_are_the_masters_children",
        preload_unsafe="test_an_application_with_threads_is_refused_or_loaded_by_each_worker_as_asked",
    ),
    **_settings(
        "test_queue_timeout",
        queue_timeout="test_who_waits_too_long_is_told_so_while_every_thread_is_busy",
        health_paths="test_health_checks_wait_for_as_long_as_it_takes",
    ),
    **_settings(
        "test_load",
        workers_min="test_workers_come_when_requests_wait_up_to_their_bound",
        workers_max="test_workers_come_when_requests_wait_up_to_their_bound",
        cpu_affinity="test_each_worker_keeps_to_the_cpus_of_its_slot",
    ),
    **_settings(
        "test_worker_children",
        kill_worker_children="test_the_graceful_timeout_is_hard_too_and_the_setting_turns_it_off",
    ),
    **_settings("test_refork", refork_after="test_what_a_warm_worker_has_cached_is_shared_by_all"),
    **_settings("test_reload_check", reload_check="test_a_worker_that_fails_its_check_never_serves"),
    **_settings(
        "test_recycling",
        max_worker_age="test_a_busy_worker_is_replaced_for_its_age",
        max_worker_memory="test_age_and_memory_replace_a_worker_also_while_it_is_busy",
    ),
    **dict.fromkeys(
        ("setting:max_worker_age_jitter", "setting:max_worker_memory_jitter"),
        f"{RECYCLING}::test_an_application_that_seeds_random_does_not_make_workers_equal",
    ),
    **_settings("test_broken", trace_memory="test_log_names_cause_place_and_cure"),
    "setting:max_worker_memory_measure": f"{RECYCLING}::test_the_settings_say_what_is_measured",
    **_settings("test_tls", certfile="test_curl_gets_an_answer_under_each_version"),
    **_settings(
        "test_tls_certificates",
        keyfile="test_the_name_that_a_client_asks_for_chooses_the_certificate",
        sni_certificates="test_command_line_names_certificates",
        cert_reqs="test_client_certificates_are_asked_for_as_configured",
        ca_certs="test_a_client_certificate_of_another_authority_is_refused",
        ciphers="test_ciphers_choose_what_is_spoken",
    ),
    **_shown("test_tls_certificates", "test_ssl_context_hook_has_the_last_word", "hook:ssl_context"),
    **_settings(
        "test_tls_handshakes",
        handshake_timeout="test_two_hundred_stalled_handshakes_delay_nobody_and_are_given_up",
        suppress_ragged_eofs="test_an_end_that_was_not_announced_is_an_end_unless_told_otherwise",
    ),
    **_settings(
        "test_proxy_protocol",
        proxy_protocol="test_the_other_version_is_refused",
        proxy_allow_ips="test_a_peer_that_is_not_in_the_list_may_not_say_who_it_is",
    ),
    **_shown(
        "test_proxy_protocol",
        "test_haproxy_says_who_its_clients_are",
        *("environ:PROXY_PROTOCOL", "environ:PROXY_ADDR", "environ:PROXY_PORT"),
    ),
    **_settings(
        "test_uwsgi",
        protocol="test_the_application_sees_what_nginx_says",
        uwsgi_allow_ips="test_a_peer_that_is_not_in_the_list_is_refused",
    ),
    **_settings(
        "test_client_address",
        remote_addr_from="test_forwarded_names_client_port_and_scheme",
        trusted_hops="test_client_is_whom_the_trusted_proxies_saw",
    ),
    **_settings("test_body_limit", limit_request_body="test_a_chunked_body_is_refused_as_soon_as_it_is_too_large"),
    **_settings(
        "test_request_timeout",
        request_timeout="test_calls_that_end_at_the_deadline_are_answered_once_and_hurt_nobody_else",
        request_timeout_hard="test_a_sync_worker_whose_main_thread_does_not_come_back_leaves_without_it",
        request_timeout_paths="test_a_sync_worker_whose_main_thread_does_not_come_back_leaves_without_it",
    ),
    **_settings(
        "test_deadlines",
        header_timeout="test_a_head_that_is_not_whole_in_time_is_answered_with_408",
        body_timeout="test_silence_within_a_body_is_answered_with_408",
        body_min_rate="test_a_body_below_the_least_rate_is_answered_with_408_though_never_silent",
        body_total_timeout="test_a_body_is_answered_with_408_when_its_whole_time_is_over_at_any_rate",
        write_timeout="test_who_takes_nothing_of_a_response_is_disconnected",
        write_min_rate="test_who_takes_a_response_too_slowly_is_disconnected_and_who_hurries_is_not",
        lingering_timeout="test_a_refused_client_is_read_for_a_while_and_then_closed",
    ),
    **_settings(
        "test_websocket",
        websocket_max_message_size="test_a_message_above_the_limit_is_1009",
        ws_ping_interval="test_a_client_that_answers_its_pings_stays",
        ws_ping_timeout="test_a_silent_client_is_pinged_and_then_given_up",
        ws_per_message_deflate="test_compression_can_be_turned_off",
    ),
    **_shown(
        "test_green",
        "test_the_application_is_imported_patched_and_told_that_it_is_not_alone",
        *("worker:gevent", "worker:eventlet"),
    ),
    **_shown(
        "test_worker_classes", "test_a_subclass_of_a_gevent_worker_patches_and_serves", "environ:gunicorn.sock"
    ),
    **_shown(
        "test_worker_classes",
        "test_a_subclass_of_the_sync_worker_is_served_by_ours_and_named_by_an_entry_point",
        "worker:egg",
    ),
    **_shown(
        "test_worker_classes", "test_a_worker_class_of_another_package_serves_reloads_and_drains", "worker:class"
    ),
    **dict.fromkeys(
        ("worker:gevent_wsgi", "worker:gevent_pywsgi"),
        "tests/unit/config/sections/test_workers.py::test_every_name_that_gunicorn_has_for_a_kind_is_that_kind",
    ),
    "worker:asgi": f"{INTEGRATION}/test_asgi.py::test_requests_run_beside_each_other_and_pipelined_ones_in_order",
    "worker:tornado": f"{INTEGRATION}/test_tornado.py::test_handlers_answer_one_after_the_other_on_one_connection",
    "environ:gunicorn.socket": f"{INTEGRATION}/test_websocket_wsgi.py::test_a_view_that_ends_closes_the_connection",
    "environ:wsgi.early_hints": f"{INTEGRATION}/test_http.py::test_early_hints_come_before_the_response",
    "environ:wsgi.file_wrapper": f"{INTEGRATION}/test_http.py::test_file_wrapper_sends_the_whole_file",
    "signal:TERM:master": f"{INTEGRATION}/test_stop.py::test_int_hurries_a_graceful_stop",
    "signal:INT:master": f"{INTEGRATION}/test_stop.py::test_int_and_quit_stop_at_once",
    "signal:QUIT:master": f"{INTEGRATION}/test_stop.py::test_int_and_quit_stop_at_once",
    "signal:HUP:master": f"{INTEGRATION}/test_reload.py::test_reload_can_change_the_number_of_workers",
    "signal:TTIN:master": f"{INTEGRATION}/test_workers.py::test_ttin_and_ttou_change_the_number_of_workers",
    "signal:TTOU:master": f"{INTEGRATION}/test_workers.py::test_ttin_and_ttou_change_the_number_of_workers",
    "signal:USR1:master": f"{INTEGRATION}/test_logs.py::test_usr1_reopens_both_logs_in_every_process",
    "signal:CHLD:master": f"{INTEGRATION}/test_workers.py::test_killed_worker_is_replaced_while_its_sibling_serves",
    "signal:TERM:worker": f"{INTEGRATION}/test_workers.py::test_term_to_one_worker_replaces_it_without_a_lost_request",
    "signal:INT:worker": (
        f"{INTEGRATION}/test_signals.py::test_int_and_quit_to_a_worker_run_its_hook_and_it_is_replaced"
    ),
    "signal:QUIT:worker": (
        f"{INTEGRATION}/test_signals.py::test_int_and_quit_to_a_worker_run_its_hook_and_it_is_replaced"
    ),
    "signal:USR1:worker": f"{INTEGRATION}/test_logs.py::test_usr1_reopens_both_logs_in_every_process",
    "signal:ABRT:worker": f"{INTEGRATION}/test_signals.py::test_abrt_to_a_worker_runs_its_hook_and_it_exits_with_1",
    **{
        f"signal:{name}:worker": (
            f"{INTEGRATION}/test_workers.py::test_signals_for_the_master_change_nothing_in_workers"
        )
        for name in ("HUP", "USR2", "WINCH")
    },
    "command:--version": f"{INTEGRATION}/test_command_line.py::test_version_and_help_are_printed",
    "command:--help": f"{INTEGRATION}/test_command_line.py::test_version_and_help_are_printed",
    "command:python -m gunicorn": f"{INTEGRATION}/test_http.py::test_environ_says_what_was_asked",
    "exit:0 stop": f"{INTEGRATION}/test_stop.py::test_int_and_quit_stop_at_once",
    "exit:0 check": (
        f"{INTEGRATION}/test_command_line.py::test_check_config_accepts_and_print_config_tells_where_values_came_from"
    ),
    "exit:1 settings": f"{INTEGRATION}/test_command_line.py::test_wrong_settings_are_one_clear_line",
    "exit:1 no application": f"{INTEGRATION}/test_command_line.py::test_no_application_is_a_clear_error",
    "exit:1 bind": f"{INTEGRATION}/test_command_line.py::test_taken_port_is_one_clear_line",
    "exit:3 boot": f"{INTEGRATION}/test_command_line.py::test_missing_or_broken_application_ends_the_server",
    "exit:4 application": f"{INTEGRATION}/test_command_line.py::test_missing_or_broken_application_ends_the_server",
    **{
        atom.key: f"{INTEGRATION}/test_logs.py::test_each_atom_of_the_access_log_says_what_was_served"
        for atom in ATOMS
        if atom.name != "record.args"
    },
}

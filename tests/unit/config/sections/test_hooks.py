import pytest

from ostler.config.parse import BadValue
from ostler.config.sections import HOOKS
from ostler.config.sections.hooks import read_post_request

# Surface 1.3: what a hook is called with.
ARITIES = {
    **dict.fromkeys(("on_starting", "on_reload", "when_ready", "pre_exec", "on_exit"), 1),
    **dict.fromkeys(("post_worker_init", "worker_int", "worker_abort"), 1),
    **dict.fromkeys(("pre_fork", "post_fork", "pre_request", "child_exit", "worker_exit", "ssl_context"), 2),
    "nworkers_changed": 3,
}
BY_ARITY = [lambda: None, lambda a: None, lambda a, b: None, lambda a, b, c: None]


@pytest.mark.parametrize("entry", [entry for entry in HOOKS if entry.name in ARITIES], ids=lambda entry: entry.name)
def test_a_hook_takes_as_many_arguments_as_in_gunicorn(entry):
    for arity, hook in enumerate(BY_ARITY):
        if arity == ARITIES[entry.name]:
            assert entry.read(hook) is hook
        else:
            with pytest.raises(BadValue):
                entry.read(hook)


def test_post_request_may_leave_out_what_it_does_not_need():
    calls = []
    read_post_request(lambda worker, request: calls.append((worker, request)))("w", "r", "e", "s")
    read_post_request(lambda worker, request, environ: calls.append(environ))("w", "r", "e", "s")
    assert calls == [("w", "r"), "e"]


def test_every_hook_that_acts_is_covered_here():
    assert {entry.name for entry in HOOKS if entry.acts} == ARITIES.keys() | {"post_request"}

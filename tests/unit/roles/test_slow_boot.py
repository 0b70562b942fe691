"""roles/slow_boot.py: what is said of a boot that takes long."""

from types import SimpleNamespace

from ostler.config.settings import Settings
from ostler.observe.causes import Cause, cure_for
from ostler.roles.slow_boot import describe
from tests.pages import assert_shown

SENTENCE = "worker is still booting slot=0 gen=1 pid=4242 for_s=10 boot_timeout_s=300"
IMPORTING = """Current thread 0x00007f0000000000 (most recent call first):
  File "/usr/lib/python3.11/json/decoder.py", line 355 in raw_decode
  File "/srv/shop/models.py", line 3 in <module>
  File "<frozen importlib._bootstrap>", line 241 in _call_with_frames_removed
  File "/srv/shop/app.py", line 1 in <module>
"""


def told(stacks):
    channel = SimpleNamespace(take_dump=lambda: stacks)
    return describe(SimpleNamespace(channel=channel, settings=Settings.defaults(chdir="/srv")), SENTENCE)


def test_the_innermost_line_of_the_application_is_named():
    assert ' at="shop/models.py:3 in <module>" ' in told(IMPORTING)


def test_without_stacks_there_is_a_cure_all_the_same():
    text = cure_for(Cause.BOOT_SLOW)
    assert told("") == f'{SENTENCE} cause="the application takes long to start" cure="{text}"'


def test_the_page_shows_such_a_line():
    assert_shown("slow_start", told(IMPORTING))

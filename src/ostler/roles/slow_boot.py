"""What the master says of a boot that takes long: where it is, by the stacks that it was asked for.

Rules for editing: text only; the boot goes on.
"""

from ostler.observe.causes import Cause
from ostler.observe.diagnosis import find
from ostler.roles.children import Child
from ostler.roles.inquest import roots_of, words_of


def describe(child: Child, sentence: str) -> str:
    """One line. The stacks that have arrived on the channel are used up."""
    finding = find(child.channel.take_dump(), roots_of(child.settings))
    return f"{sentence} {words_of(finding, Cause.BOOT_SLOW)}"

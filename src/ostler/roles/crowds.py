"""Workers all of whose threads are in use: which they are, and whether somebody waits for them.

Rules for editing: asked about once a second of every worker: of those that have a free thread it costs one look.
"""

from ostler.observe.scoreboard import Page, WorkerState
from ostler.roles.children import Child


def is_full(page: Page) -> bool:
    """It serves, and has no free thread. (One with a loop of its own, of a user's class, shows no requests.)"""
    return page.state is WorkerState.BUSY and bool(page.in_flight())


def waits_for(child: Child) -> bool:
    """Whether a request waits for a thread of it, or a connection to be accepted by it or a sibling."""
    scoreboard = child.generation.scoreboard
    if child.page is not None and scoreboard.pressures.of(child.page.index).waiting:
        return True
    return any(listener.queued() for listener in child.listeners)

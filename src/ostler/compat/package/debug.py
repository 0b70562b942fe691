"""`gunicorn.debug`: tracing each line that Python executes (process/spew.py).

Rules for editing: Gunicorn's `trace_names` (only these modules) is refused until somebody needs it.
"""

from ostler.process import spew as _spew

__all__ = ["spew", "unspew"]

unspew = _spew.unspew


def spew(trace_names: None = None, show_values: bool = False) -> None:
    """Raises NotImplementedError with trace_names."""
    if trace_names is not None:
        raise NotImplementedError("gunicorn.debug.spew: trace_names is not built in this version of Ostler")
    _spew.spew(show_values)

"""Answers of a master -> what a person reads: `ostler status`, `workers`, `slow`, `stacks`, and Gunicorn's `show`.

An answer may come from a master of another version: what is not there is left out. Scripts use --json.

Rules for editing: pure; whatever came from outside is escaped (tables.py does).
"""

from collections.abc import Mapping
from typing import Any, Final

from ostler.control.tables import mebibytes, pairs, seconds, table
from ostler.logline import escape

Data = Mapping[str, Any]

_COUNTED: Final = ("busy", "idle", "serving", "booting", "retiring", "hung", "leaving", "killed")
_REQUEST_CHARACTERS: Final = 60


def status(data: Data, _width: int | None) -> list[str]:
    """A block of names and values, and the last incidents below it, whole: they name causes and cures."""
    workers = data.get("workers", {})
    counts = ", ".join(f"{workers[name]} {name}" for name in _COUNTED if workers.get(name))
    molds = [f"pid {each['pid']} (generation {each['generation']}, {each['state']})" for each in data.get("molds", [])]
    generations = data.get("generations", [])
    others = f" (processes of {', '.join(map(str, generations))})" if len(generations) > 1 else ""
    rows = [
        ("server", f"{data.get('name')}: {data.get('state')}"),
        ("master", f"pid {data.get('pid')}, version {data.get('version')}, up {seconds(data.get('uptime_s'))}"),
        ("generation", f"{data.get('generation')}{others}"),
        ("workers", f"{workers.get('ready')} of {workers.get('goal')} ready" + (f": {counts}" if counts else "")),
        ("mold", ", ".join(molds)),
        ("degraded", str(data.get("degraded") or "")),
        ("requests", _requests(data)),
        ("load", _load(data)),
        *(("listener", _listener(each)) for each in data.get("listeners", [])),
        ("last reload", _reload(data.get("last_reload"))),
        ("old master", _pid(data.get("old_master"))),
        ("new master", _pid(data.get("new_master"))),
        ("systemd", _systemd(data)),
        ("control", str(data.get("control_socket") or "")),
    ]
    return [*pairs(rows), *_incidents(data)]


def workers(data: Data, width: int | None) -> list[str]:
    """A line for each."""
    headers = ("SLOT", "PID", "GEN", "STATE", "AGE", "REQUESTS", "5XX", "CPU s", "RSS", "PSS", "BOOT ms", "IN FLIGHT")
    rows = []
    for each in data.get("workers", []):
        state = str(each.get("state"))
        if state == "hung":
            state += f": silent {each.get('silent_s', 0):.0f} s"
        elif each.get("cause"):
            state += f": {each['cause']}"
        who = (each.get("slot"), each.get("pid"), each.get("generation"), state, seconds(each.get("age_s")))
        work = (each.get("requests"), each.get("errors"), each.get("cpu_s"))
        memory = (mebibytes(each.get("rss")), mebibytes(each.get("pss")))
        rows.append((*who, *work, *memory, each.get("boot_ms"), _in_flight(each)))
    return table(headers, rows, width)


def slow(data: Data, width: int | None) -> list[str]:
    """Two tables."""
    running = [(each["for_s"], each["slot"], each["pid"], each["request"]) for each in data.get("in_flight", [])]
    finished = [
        (each["took_s"], each["status"] or None, seconds(each["ago_s"]), each["slot"], each["pid"], each["request"])
        for each in data.get("finished", [])
    ]
    lines = ["in flight, the longest first"]
    lines += table(("FOR s", "SLOT", "PID", "REQUEST"), running, width) if running else ["(none)"]
    lines += ["", "finished in the last minutes, the slowest first"]
    headers = ("TOOK s", "STATUS", "AGO", "SLOT", "PID", "REQUEST")
    return lines + (table(headers, finished, width) if finished else ["(none)"])


def stacks(data: Data, _width: int | None) -> list[str]:
    """Each process with its stacks, or with what the kernel says of it."""
    lines: list[str] = []
    for each in data.get("processes", []):
        slot = "" if each.get("slot") is None else f" slot={each['slot']}"
        head = f"{each.get('role')}{slot} gen={each.get('generation')} pid={each.get('pid')} {each.get('state')}"
        text = str(each.get("stacks") or "")
        if not text:
            text = "no stacks came: " + str(each.get("kernel") or "it does not answer")
        lines += [f"== {head}", *map(escape, text.splitlines()), ""]
    return lines[:-1] or ["(no process)"]


def listeners(data: Data, width: int | None) -> list[str]:
    rows = [
        (each.get("address"), each.get("type"), each.get("fd"), each.get("waiting"), each.get("backlog"))
        for each in data.get("listeners", [])
    ]
    return table(("ADDRESS", "TYPE", "FD", "WAITING", "BACKLOG"), rows, width)


def everything(data: Data, width: int | None) -> list[str]:
    """`show all`."""
    master = data.get("arbiter", {}).get("pid")
    lines = [f"master {master}", *(f"mold {each['pid']} {each['state']}" for each in data.get("molds", [])), ""]
    return lines + workers({"workers": data.get("web_workers", [])}, width)


def values(data: Data, _width: int | None) -> list[str]:
    """A line for each key."""
    return pairs([(name, _plain(value)) for name, value in sorted(data.items())])


def commands(data: Data, _width: int | None) -> list[str]:
    """`help`."""
    return pairs([(str(name), str(text)) for name, text in data.get("commands", {}).items()])


def _plain(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _requests(data: Data) -> str:
    rate = f"{data.get('requests')}, {data.get('requests_per_s')}/s, {data.get('in_flight')} in flight"
    return f"{rate}, {data.get('errors')} answered with 5xx, {data.get('shed')} shed"


def _load(data: Data) -> str:
    text = f"{round(100 * data.get('busy_share', 0))} % busy"
    if data.get("waiting"):
        text += f", {data['waiting']} requests wait, the oldest for {seconds(data.get('queue_time_s'))}"
    return text


def _listener(each: Data) -> str:
    if each.get("waiting") is None:
        return str(each.get("address"))
    return f"{each.get('address')}, {each['waiting']} of {each.get('backlog')} wait"


def _reload(data: Data | None) -> str:
    return "" if data is None else f"{seconds(data.get('ago_s'))} ago: {data.get('text')}"


def _pid(pid: object) -> str:
    return "" if not pid else f"pid {pid}"


def _systemd(data: Data) -> str:
    watchdog = data.get("watchdog_s")
    return ("notified" + (f", watchdog {watchdog:g} s" if watchdog else "")) if data.get("systemd") else ""


def _incidents(data: Data) -> list[str]:
    found = data.get("incidents", [])
    if not found:
        return []
    total = data.get("incidents_total", len(found))
    lines = [f"{seconds(each['ago_s'])} ago  {each['level']}  {escape(str(each['text']))}" for each in found]
    return ["", f"last incidents, of {total} since the start:", *(f"  {line}" for line in lines)]


def _in_flight(row: Data) -> str:
    longest = row.get("longest")
    if not longest:
        return str(row.get("in_flight") or "")
    more = f" (+{row['in_flight'] - 1})" if row.get("in_flight", 0) > 1 else ""
    return f"{longest['for_s']:.1f} s{more} {longest['request']}"

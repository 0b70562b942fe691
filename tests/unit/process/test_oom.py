"""process/oom.py: whose SIGKILL it was, by the counters of cgroups and the machine."""

import pytest

from ostler.process.oom import OomKiller

V2 = ("sys/fs/cgroup/shop/memory.events", "0::/shop\n", "low 0\noom 9\noom_kill {}\noom_group_kill 0\n", "cgroup /shop")
V1 = (
    "sys/fs/cgroup/memory/shop/memory.oom_control",
    "4:memory:/shop\n",
    "oom_kill_disable 0\nunder_oom 0\noom_kill {}\n",
    "cgroup /shop",
)
MACHINE = ("proc/vmstat", "0::/\n", "nr_free_pages 5\noom_kill {}\n", "machine")


def write(root, name, text):
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


@pytest.mark.parametrize("place", [V2, V1, MACHINE], ids=["v2", "v1", "machine"])
def test_each_count_explains_one_death(tmp_path, place):
    name, membership, text, where = place
    write(tmp_path, "proc/self/cgroup", membership)
    write(tmp_path, name, text.format(3))
    killer = OomKiller(str(tmp_path))
    innocent = f"not sent by the master, nor by the kernel's OOM killer ({where}: oom_kill=3): somebody has sent it"
    assert killer.explain() == innocent
    write(tmp_path, name, text.format(5))
    guilty = f"out of memory: the kernel's OOM killer has sent it ({where}: oom_kill=5)"
    assert [killer.explain(), killer.explain()] == [guilty, guilty]
    assert killer.explain() == innocent.replace("=3", "=5")


def test_the_limit_is_named(tmp_path):
    write(tmp_path, "proc/self/cgroup", "0::/shop\n")
    write(tmp_path, "sys/fs/cgroup/shop/memory.max", str(64 << 20))
    write(tmp_path, "sys/fs/cgroup/shop/memory.events", "oom_kill 0\n")
    killer = OomKiller(str(tmp_path))
    write(tmp_path, "sys/fs/cgroup/shop/memory.events", "oom_kill 1\n")
    assert killer.explain().endswith("(cgroup /shop: oom_kill=1, limit 64 MiB)")


def test_where_nobody_counts_nothing_is_said(tmp_path):
    killer = OomKiller(str(tmp_path))
    assert not killer.explain()
    write(tmp_path, "proc/vmstat", "oom_kill 1\n")  # a counter that was not there at the start proves nothing
    assert not killer.explain()

"""Against trees of /proc and /sys as kernels and container engines show them."""

import os
from pathlib import Path

import pytest

from ostler.config.machine import WORKER_BYTES, Capacity, MemoryRoom, capacity
from ostler.config.sources import load_settings

V1_UNLIMITED = "9223372036854771712"
V2_MOUNT = "30 23 0:26 {top} /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n"
V1_MOUNTS = (
    "31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755\n"
    "32 31 0:29 {top} /sys/fs/cgroup/cpu,cpuacct rw shared:9 - cgroup cgroup rw,cpu,cpuacct\n"
    "35 31 0:32 {top} /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
)


def build(root: Path, files: dict[str, str]) -> str:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return str(root)


def v2(root: Path, own: str, files: dict[str, str], top: str = "/") -> str:
    proc = {"proc/self/cgroup": f"0::{own}\n", "proc/self/mountinfo": V2_MOUNT.format(top=top)}
    return build(root, proc | {f"sys/fs/cgroup/{name}": text for name, text in files.items()})


def v1(root: Path, own: str, files: dict[str, str], top: str = "/") -> str:
    lines = f"9:name=systemd:/\n5:cpu,cpuacct:{own}\n4:memory:{own}\n0::/\n"
    proc = {"proc/self/cgroup": lines, "proc/self/mountinfo": V1_MOUNTS.format(top=top)}
    return build(root, proc | {f"sys/fs/cgroup/{name}": text for name, text in files.items()})


@pytest.mark.parametrize(
    ("cpus", "memory_mib", "workers"),
    [
        (2, None, 5),
        (0.5, None, 3),
        (1.2, None, 5),
        (64, 1024, 16),
        (4, 64 * 9, 9),
        (4, 64 * 9 - 1, 8),
        (8, 64, 1),
        (8, 10, 1),
    ],
)
def test_two_workers_for_each_cpu_and_one_more_as_far_as_memory_goes(cpus, memory_mib, workers):
    memory_bytes = None if memory_mib is None else memory_mib << 20
    assert Capacity(cpus, memory_bytes).workers == workers
    assert WORKER_BYTES == 64 << 20


def test_a_machine_without_cgroups_has_the_cpus_of_the_affinity_mask(tmp_path):
    assert capacity(str(tmp_path), cores=6) == Capacity(6, None)


def test_quota_and_limit_of_version_2_are_those_of_our_own_group(tmp_path):
    root = v2(tmp_path, "/shop", {"shop/cpu.max": "150000 100000\n", "shop/memory.max": "268435456\n"})
    assert capacity(root, cores=64) == Capacity(1.5, 268435456)


def test_groups_above_ours_limit_too(tmp_path):
    files = {
        "a/cpu.max": "400000 100000\n",
        "a/b/cpu.max": "max 100000\n",
        "a/b/c/cpu.max": "800000 100000\n",
        "a/memory.max": "max\n",
        "a/b/memory.max": "1073741824\n",
        "a/b/c/memory.max": "2147483648\n",
        "other/cpu.max": "1000 100000\n",
    }
    assert capacity(v2(tmp_path, "/a/b/c", files), cores=64) == Capacity(4, 1073741824)


def test_no_quota_means_the_affinity_mask_and_a_large_quota_does_not_make_more_of_it(tmp_path):
    root = v2(tmp_path, "/", {"cpu.max": "max 100000\n", "memory.max": "max\n"})
    assert capacity(root, cores=4) == Capacity(4, None)
    root = v2(tmp_path, "/", {"cpu.max": "1600000 100000\n"})
    assert capacity(root, cores=4) == Capacity(4, None)


def test_quota_and_limit_of_version_1(tmp_path):
    files = {
        "cpu,cpuacct/docker/cpu.cfs_quota_us": "50000\n",
        "cpu,cpuacct/docker/cpu.cfs_period_us": "100000\n",
        "cpu,cpuacct/cpu.cfs_quota_us": "-1\n",
        "cpu,cpuacct/cpu.cfs_period_us": "100000\n",
        "memory/docker/memory.limit_in_bytes": "134217728\n",
        "memory/memory.limit_in_bytes": f"{V1_UNLIMITED}\n",
    }
    assert capacity(v1(tmp_path, "/docker", files), cores=8) == Capacity(0.5, 134217728)


def test_no_limit_in_version_1_is_a_very_large_number(tmp_path):
    files = {"cpu,cpuacct/cpu.cfs_quota_us": "-1\n", "memory/memory.limit_in_bytes": f"{V1_UNLIMITED}\n"}
    assert capacity(v1(tmp_path, "/", files), cores=8) == Capacity(8, None)


@pytest.mark.parametrize(
    ("own", "top"),
    [
        ("/docker/0123", "/docker/0123"),  # the path is the host's, and the mount shows our group
        ("/docker/0123", "/elsewhere"),  # the path cannot be found below what the mount shows
        ("/../../other", "/"),  # a group outside of our namespace
        ("/", "/"),  # a namespace of its own
    ],
)
def test_a_container_finds_its_own_group_where_it_is_mounted(tmp_path, own, top):
    root = v2(tmp_path, own, {"cpu.max": "200000 100000\n", "memory.max": "536870912\n"}, top)
    assert capacity(root, cores=64) == Capacity(2, 536870912)
    files = {"cpu,cpuacct/cpu.cfs_quota_us": "100000\n", "cpu,cpuacct/cpu.cfs_period_us": "100000\n"}
    assert capacity(v1(tmp_path / "v1", own, files, top), cores=64) == Capacity(1, None)


def test_a_mount_may_show_a_part_of_the_tree_and_ours_below_it(tmp_path):
    root = v2(tmp_path, "/machine/shop", {"shop/cpu.max": "300000 100000\n"}, "/machine")
    assert capacity(root, cores=64).cpus == 3


def test_the_path_of_a_mount_may_have_blanks(tmp_path):
    mount = "30 23 0:26 / /sys/fs/c\\040group rw - cgroup2 cgroup2 rw\n"
    files = {"proc/self/cgroup": "0::/\n", "proc/self/mountinfo": mount, "sys/fs/c group/cpu.max": "100000 100000\n"}
    assert capacity(build(tmp_path, files), cores=64).cpus == 1


def test_without_a_list_of_mounts_the_usual_places_are_looked_at(tmp_path):
    files = {"proc/self/cgroup": "4:cpu:/a\n", "sys/fs/cgroup/memory.max": "67108864\n"}
    files |= {"sys/fs/cgroup/cpu/a/cpu.cfs_quota_us": "100000", "sys/fs/cgroup/cpu/a/cpu.cfs_period_us": "50000"}
    assert capacity(build(tmp_path, files), cores=64) == Capacity(2, 67108864)


@pytest.mark.parametrize("text", ["", "nonsense", "1 2 3", "-5 100000", "100000 0", "max", "\x00\xff"])
def test_what_cannot_be_understood_limits_nothing(tmp_path, text):
    root = v2(tmp_path, "/", {"cpu.max": text, "memory.max": "many\n"})
    assert capacity(root, cores=3) == Capacity(3, None)
    build(tmp_path, {"proc/self/cgroup": f"{text}\n:\n", "proc/self/mountinfo": f"{text}\na - cgroup2\n"})
    assert capacity(str(tmp_path), cores=3).cpus == 3


def test_the_report_says_what_there_is():
    assert [str(Capacity(*each)) for each in ((1, None), (0.5, 256 << 20), (2.333, None), (16, 1 << 30))] == [
        "1 CPU",
        "0.5 CPUs, 256 MiB",
        "2.33 CPUs",
        "16 CPUs, 1024 MiB",
    ]


def test_the_mask_of_this_process_counts(tmp_path):
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    try:
        assert capacity(str(tmp_path)) == Capacity(1, None)
    finally:
        os.sched_setaffinity(0, before)


@pytest.mark.parametrize(
    ("argv", "environ", "origin"),
    [
        (["-w", "auto"], {}, "command line"),
        ([], {"WEB_CONCURRENCY": "auto"}, "WEB_CONCURRENCY"),
        ([], {"OSTLER_WORKERS": " Auto "}, "OSTLER_WORKERS"),
        ([], {"GUNICORN_CMD_ARGS": "--workers=auto"}, "GUNICORN_CMD_ARGS"),
        (["-c", "own.py"], {}, "own.py"),
        (["-c", "own.toml"], {}, "own.toml"),
    ],
)
def test_every_source_may_say_auto_and_the_settings_say_what_it_was(start, argv, environ, origin):
    (start / "own.py").write_text("workers = 'auto'\n")
    (start / "own.toml").write_text('workers = "auto"\n')
    settings = load_settings(["app:app", *argv], environ, str(start))
    found = capacity()
    assert settings.workers == found.workers
    assert settings.origin("workers") == f"{origin}: auto, {found}"


def test_room_below_a_memory_limit_is_what_is_left_without_the_cache(tmp_path):
    files = {
        "shop/memory.max": f"{1000}\n",
        "shop/memory.current": "900\n",
        "shop/memory.stat": "anon 5\ninactive_file 300\n",
        "memory.max": "max\n",
    }
    room = MemoryRoom(v2(tmp_path, "/shop", files))
    assert room.holds(400)
    assert not room.holds(401)
    (tmp_path / "sys/fs/cgroup/shop/memory.max").write_text("2000\n")  # limits may change
    assert room.holds(1400)


def test_room_of_version_1_heeds_the_groups_above(tmp_path):
    files = {
        "memory/a/b/memory.limit_in_bytes": V1_UNLIMITED,
        "memory/a/b/memory.usage_in_bytes": "5",
        "memory/a/memory.limit_in_bytes": "1000",
        "memory/a/memory.usage_in_bytes": "990",
        "memory/a/memory.stat": "inactive_file 1\ntotal_inactive_file 10\n",
    }
    room = MemoryRoom(v1(tmp_path, "/a/b", files))
    assert room.holds(11)
    assert not room.holds(20)


def test_without_a_limit_there_is_room(tmp_path):
    assert MemoryRoom(str(tmp_path)).holds(1 << 50)


def test_a_limit_above_which_everything_is_slow_counts_as_well(tmp_path):
    root = v2(tmp_path, "/shop", {"shop/memory.max": "2000000000", "shop/memory.high": f"{300 << 20}"})
    assert capacity(root, cores=8) == Capacity(8, 300 << 20)

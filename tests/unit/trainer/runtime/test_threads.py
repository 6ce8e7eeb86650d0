from __future__ import annotations

import os
from pathlib import Path

import pytest

from trainer.runtime import threads


def cgroup_v1(root: Path, quota: str, period: str) -> None:
    (root / "cpu").mkdir()
    (root / "cpu" / "cpu.cfs_quota_us").write_text(quota + "\n")
    (root / "cpu" / "cpu.cfs_period_us").write_text(period + "\n")


@pytest.mark.parametrize(("text", "cpus"), [("max 100000\n", None), ("50000 100000\n", 0.5), ("250000 100000\n", 2.5)])
def test_quota_is_read_from_cgroup_v2(tmp_path: Path, text: str, cpus: float | None) -> None:
    (tmp_path / "cpu.max").write_text(text)
    assert threads.cgroup_quota(tmp_path) == cpus


@pytest.mark.parametrize(("quota", "cpus"), [("-1", None), ("150000", 1.5)])
def test_quota_is_read_from_cgroup_v1(tmp_path: Path, quota: str, cpus: float | None) -> None:
    cgroup_v1(tmp_path, quota, "100000")
    assert threads.cgroup_quota(tmp_path) == cpus


def test_system_without_cgroups_has_no_quota(tmp_path: Path) -> None:
    assert threads.cgroup_quota(tmp_path) is None


@pytest.mark.parametrize(("quota", "cpus"), [("50000", 1), ("150000", 2), ("400000", 3), ("max", 3)])
def test_available_cpus_are_the_smaller_of_affinity_and_quota(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, quota: str, cpus: int
) -> None:
    (tmp_path / "cpu.max").write_text(f"{quota} 100000\n")
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 2})
    assert threads.available_cpus(tmp_path) == cpus


def test_available_cpus_of_a_system_without_affinity_are_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: 5)
    assert threads.available_cpus(tmp_path) == 5


@pytest.mark.parametrize(("cpus", "inter"), [(1, "2"), (2, "2"), (8, "8")])
def test_tensorflow_has_at_least_two_inter_op_threads(cpus: int, inter: str) -> None:
    env: dict[str, str] = {}
    threads.configure(env, cpus)
    assert env == {threads.INTRA: str(cpus), threads.INTER: inter}


def test_thread_counts_of_the_user_stay() -> None:
    env = {threads.INTRA: "7", threads.INTER: "1"}
    threads.configure(env, 4)
    assert env == {threads.INTRA: "7", threads.INTER: "1"}


def test_smallest_quota_of_the_group_and_its_parents_applies_in_cgroup_v1(tmp_path: Path) -> None:
    own = tmp_path / "own"
    own.write_text("4:memory:/elsewhere\n1:cpu,cpuacct:/jobs/train\n0::/\n")
    for name, quota in (("jobs", "50000"), ("jobs/train", "200000"), ("others", "1000")):
        group = tmp_path / "cpu" / name
        group.mkdir(parents=True)
        (group / "cpu.cfs_quota_us").write_text(quota)
        (group / "cpu.cfs_period_us").write_text("100000")
    assert threads.cgroup_quota(tmp_path, own) == 0.5


def test_smallest_quota_of_the_group_and_its_parents_applies_in_cgroup_v2(tmp_path: Path) -> None:
    own = tmp_path / "own"
    own.write_text("0::/user.slice/train.scope\n")
    group = tmp_path / "user.slice" / "train.scope"
    group.mkdir(parents=True)
    (group / "cpu.max").write_text("max 100000\n")
    (group.parent / "cpu.max").write_text("300000 100000\n")
    assert threads.cgroup_quota(tmp_path, own) == 3


def test_quota_is_found_when_the_path_exists_only_outside_the_container(tmp_path: Path) -> None:
    own = tmp_path / "own"
    own.write_text("1:cpu:/kubepods/pod1/abc\n")
    cgroup_v1(tmp_path, "150000", "100000")
    assert threads.cgroup_quota(tmp_path, own) == 1.5

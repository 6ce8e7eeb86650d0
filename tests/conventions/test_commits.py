"""Commit subjects have the form `area: imperative summary`."""

import re
import subprocess

import pytest

from tests.conventions.repository import ROOT

BASE = "aa6e5b9f2f1053807dabcb2ad92626ea327c4d6e"  # The rule holds for all commits after this one.
LONGEST_SUBJECT = 72
SUBJECT = re.compile(r"[A-Za-z0-9_./, -]+: \S.*[^.\s]")


def git(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=False)


def test_commit_subjects_are_short_and_name_an_area() -> None:
    if git("merge-base", "--is-ancestor", BASE, "HEAD").returncode != 0:
        pytest.skip(f"The history since {BASE} is not available, for example in a shallow clone.")
    subjects = git("log", "--no-merges", "--format=%s", f"{BASE}..HEAD").stdout.splitlines()
    assert [line for line in subjects if len(line) > LONGEST_SUBJECT or not SUBJECT.fullmatch(line)] == []

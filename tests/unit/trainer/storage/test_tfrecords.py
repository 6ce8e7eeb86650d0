"""The division of TFRecord files among input pipelines, the position in an epoch, and refusals of other files."""

from __future__ import annotations

import gzip
from collections import Counter
from pathlib import Path

import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from tests.grammar import GRAMMAR
from trainer.runtime.errors import ConfigError
from trainer.storage import tfrecords
from trainer.storage.tfrecords import Part


def write(path: Path, number: int) -> str:
    with tf.io.TFRecordWriter(str(path)) as writer:
        for record in range(number):
            writer.write(b"x" * record)
    return str(path)


@given(files=st.integers(1, 60), pipelines=st.integers(1, 20), size=st.integers(0, 30))
def test_pipelines_divide_all_records_and_read_each_once(files: int, pipelines: int, size: int) -> None:
    paths = [f"{number:03}" for number in range(files)]
    seen: Counter[tuple[str, int]] = Counter()
    for pipeline in range(pipelines):
        for part in tfrecords.share(paths, pipelines, pipeline):
            mine = range(part.first, size, part.every)
            assert part.size(size) == len(mine)
            seen.update((part.path, record) for record in mine)
    assert seen == Counter((path, record) for path in paths for record in range(size))


@given(files=st.integers(1, 200), pipelines=st.integers(1, 60), size=st.integers(0, 100))
def test_shares_have_the_same_size_unless_that_means_much_reading(files: int, pipelines: int, size: int) -> None:
    paths = [f"{number:03}" for number in range(files)]
    shares = [tfrecords.share(paths, pipelines, pipeline) for pipeline in range(pipelines)]
    sizes = [sum(part.size(size) for part in share) for share in shares]
    if max(sizes) - min(sizes) > min(files, pipelines):
        assert files // pipelines, "with fewer files than pipelines, all pipelines read all files"
        assert all(part.every == 1 for share in shares for part in share)
    elif files >= pipelines:
        assert max(map(len, shares)) * pipelines <= 4 * files + pipelines


@given(
    sizes=st.lists(st.integers(0, 20), min_size=1, max_size=8),
    pipelines=st.integers(1, 5),
    restarts=st.lists(st.integers(0, 40), max_size=10),
)
def test_position_after_any_restarts_is_the_next_record(sizes: list[int], pipelines: int, restarts: list[int]) -> None:
    """The records of a pipeline are numbered through all epochs. Each start reads some, from the position on."""
    counts = {f"{number}": size for number, size in enumerate(sizes)}
    share = tfrecords.share(list(counts), pipelines, 0)
    epoch_size = sum(part.size(counts[part.path]) for part in share)
    past = 0
    for read in restarts:
        epoch, offset = tfrecords.position(share, past, counts.__getitem__)
        if epoch_size:
            assert epoch * epoch_size + offset == past
            assert 0 <= offset < epoch_size
        past += read


def test_position_counts_no_more_files_than_needed() -> None:
    counted: list[str] = []
    share = [Part("a"), Part("b"), Part("c")]
    assert tfrecords.position(share, 0, lambda path: counted.append(path) or 10) == (0, 0)  # type: ignore[func-returns-value]
    assert counted == [], "a first start must read no file for it"
    assert tfrecords.position(share, 15, lambda path: counted.append(path) or 10) == (0, 15)  # type: ignore[func-returns-value]
    assert counted == ["a", "b"]


@pytest.mark.parametrize("number", [0, 1, 100])
def test_records_of_a_file_are_counted(tmp_path: Path, number: int) -> None:
    assert tfrecords.count_records(write(tmp_path / "a", number)) == number


def test_records_of_a_remote_file_are_counted(tmp_path: Path) -> None:
    assert tfrecords.count_records(f"file://{write(tmp_path / 'a', 2000)}") == 2000


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (gzip.compress(b"some records", mtime=0), "a gzip file"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n", "a git-lfs pointer"),
        (b"<!DOCTYPE html><html><body>Sign in</body></html>", "an HTML or XML file"),
        (b"\n <?xml version='1.0'?><Error>AccessDenied</Error>", "an HTML or XML file"),
        (b"image,label\n1,2\n", "a file that begins with b'image,label\\n'"),
        (b"abc", "a file that begins with b'abc'"),
    ],
)
@pytest.mark.parametrize("scheme", ["", "file://"])
def test_file_that_is_not_a_tfrecord_file_is_refused_by_name(
    tmp_path: Path, content: bytes, kind: str, scheme: str
) -> None:
    valid = [write(tmp_path / f"train-{number}", 3) for number in range(3)]
    other = tmp_path / "train-3"
    other.write_bytes(content)
    tfrecords.check([scheme + path for path in valid])
    with pytest.raises(ConfigError) as error:
        tfrecords.check([scheme + path for path in (*valid, str(other))])
    assert str(error.value).startswith(f"{scheme}{other}: got {kind}; expected a TFRecord file without compression. ")
    assert GRAMMAR.fullmatch(str(error.value))


def test_empty_file_is_a_tfrecord_file_without_records(tmp_path: Path) -> None:
    tfrecords.check([write(tmp_path / "a", 0)])


def test_of_many_files_some_are_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []
    monkeypatch.setattr(tfrecords, "_first_bytes", lambda path: read.append(path) or b"")
    tfrecords.check([f"{number}" for number in range(10_000)])
    assert 200 < len(read) <= 256

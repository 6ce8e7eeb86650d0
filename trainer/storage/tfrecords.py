"""TFRecord files: their division among input pipelines, their number of records, and refusals of other files.

A TFRecord file is a sequence of records. A record begins with the length of its data (8 bytes, little-endian) and the
masked CRC-32C of the length (4 bytes). The data follow, and then their masked CRC-32C (4 bytes).
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final, NamedTuple

import tensorflow as tf

from trainer.runtime.errors import ConfigError, Words
from trainer.storage import files

_HEADER: Final = 12
_FRAME: Final = 16
"""Bytes of a record in addition to its data."""
_CRC_32C: Final = 0x82F63B78
_CHECKED_FILES: Final = 256
_THREADS: Final = 16
_MOST_READING: Final = 4
"""How many times the bytes of its share a pipeline may read, so that all shares have the same size."""


class Part(NamedTuple):
    """The records of a file that one pipeline reads: every `every`-th one, from the record `first` on."""

    path: str
    every: int = 1
    first: int = 0

    def size(self, records: int) -> int:
        """Return the number of these records in a file of `records` records."""
        return max(0, -(-(records - self.first) // self.every))


def share(paths: Sequence[str], pipelines: int, pipeline: int) -> list[Part]:
    """Return what the pipeline with the index `pipeline` reads of the files `paths`.

    All pipelines read the same number of files. They divide the records of the remaining files. If the pipelines would
    skip most of what they read, they divide the files instead, and some pipelines have one file more.
    """
    paths = sorted(paths)
    each, rest = divmod(len(paths), pipelines)
    if each and (each + rest) * pipelines > _MOST_READING * len(paths):
        return [Part(path) for path in paths[pipeline::pipelines]]
    whole = [Part(path) for path in paths[pipeline : each * pipelines : pipelines]]
    # The first record rotates, so that the last incomplete round of records is not always that of the same pipelines.
    last = paths[each * pipelines :]
    return whole + [Part(path, pipelines, (pipeline + number) % pipelines) for number, path in enumerate(last)]


def position(parts: Sequence[Part], past: int, count: Callable[[str], int] | None = None) -> tuple[int, int]:
    """Return the epoch, and the number of records in it, that follow after `past` records of `parts`.

    Args:
        parts: What the pipeline reads in an epoch.
        past: Number of records.
        count: Returns the number of records of a file.

    """
    epoch = 0
    for part in parts if past else ():
        epoch += part.size((count or count_records)(part.path))
        if epoch > past:
            return 0, past
    return divmod(past, epoch) if epoch else (0, 0)


def count_records(path: str) -> int:
    """Return the number of records in the file at `path`. A remote file is read for this."""
    if files.is_remote(path):
        batches = tf.data.TFRecordDataset(path).batch(1024)
        return int(batches.reduce(tf.constant(0), lambda total, batch: total + tf.size(batch)))
    records = at = 0
    with Path(path).open("rb") as file:
        if not (end := file.seek(0, 2)):
            return 0
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            while at + _FRAME <= end:
                at += _FRAME + struct.unpack_from("<Q", data, at)[0]
                records += 1
    return records


def check(paths: Sequence[str]) -> None:
    """Refuse files that are not TFRecord files, from their first bytes. Of many files, the function reads some.

    Raises:
        ConfigError: a file has no header of a TFRecord.

    """
    some = paths[:: -(-len(paths) // _CHECKED_FILES)] if paths else ()
    with ThreadPoolExecutor(_THREADS) as pool:
        for path, start in zip(some, pool.map(_first_bytes, some), strict=True):
            if start and not _is_header(start):
                kind, fix = _kind(start)
                raise ConfigError(path, got=Words(kind), expected="a TFRecord file without compression", fix=fix)


def _first_bytes(path: str) -> bytes:
    if files.is_remote(path):
        with tf.io.gfile.GFile(path, "rb") as file:
            return bytes(file.read(_HEADER))
    with Path(path).open("rb") as file:
        return file.read(_HEADER)


def _is_header(start: bytes) -> bool:
    """Return whether `start` begins with a length and its checksum."""
    if len(start) < _HEADER:
        return False
    crc = 0xFFFFFFFF
    for byte in start[:8]:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (_CRC_32C if crc & 1 else 0)
    crc ^= 0xFFFFFFFF
    masked = ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF
    return masked == int(struct.unpack_from("<I", start, 8)[0])


def _kind(start: bytes) -> tuple[str, str]:
    """Return what a file with the first bytes `start` is, and what the user can do."""
    if start.startswith(b"\x1f\x8b"):
        return "a gzip file", "Write the file without compression, or decompress it with gunzip"
    if start.startswith(b"version http"):
        return "a git-lfs pointer", "Replace the pointers by the files with git lfs pull"
    if start.lstrip().startswith(b"<"):
        return "an HTML or XML file", "Download the file again, with a login if the server needs one"
    return f"a file that begins with {start!r}", "Write it with tf.io.TFRecordWriter, or exclude it from the pattern"

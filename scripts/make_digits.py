"""Create trainer/tasks/data/digits-*.tfrecord from the handwritten digits of scikit-learn.

    python -m venv /tmp/digits && /tmp/digits/bin/pip install scikit-learn
    /tmp/digits/bin/python scripts/make_digits.py

The script needs only scikit-learn and numpy, because the format of a TFRecord with `tf.train.Example` is simple. The
same input gives the same bytes. The data is the test set of UCI's "Optical Recognition of Handwritten Digits" (E.
Alpaydin and C. Kaynak, 1998): 1,797 images of 8x8 pixels with values from 0 to 16.
"""

from __future__ import annotations

import struct
from pathlib import Path

SHARDS = 4
HELD_OUT = 5  # One image in five of each class is held out.
OUT = Path(__file__).resolve().parent.parent / "trainer" / "tasks" / "data"


def crc32c_table() -> list[int]:
    """Return the table of CRC-32C (Castagnoli), the checksum of TFRecord."""
    table = []
    for value in range(256):
        for _ in range(8):
            value = value >> 1 ^ (0x82F63B78 if value & 1 else 0)  # noqa: PLW2901
        table.append(value)
    return table


TABLE = crc32c_table()


def masked_crc(data: bytes) -> bytes:
    """Return TFRecord's masked checksum of `data`, four bytes."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc = TABLE[(crc ^ byte) & 0xFF] ^ crc >> 8
    crc ^= 0xFFFFFFFF
    return struct.pack("<I", ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF)


def record(data: bytes) -> bytes:
    """Return `data` framed as one TFRecord."""
    length = struct.pack("<Q", len(data))
    return length + masked_crc(length) + data + masked_crc(data)


def field(number: int, content: bytes) -> bytes:
    """Return a length-delimited protobuf field; all lengths here are below 128, one byte."""
    if len(content) > 0x7F:  # noqa: PLR2004
        return bytes([number << 3 | 2, len(content) & 0x7F | 0x80, len(content) >> 7]) + content
    return bytes([number << 3 | 2, len(content)]) + content


def example(pixels: bytes, label: int) -> bytes:
    """Return a serialized `tf.train.Example` with `image` (bytes) and `label` (int64)."""
    image = field(1, b"image") + field(2, field(1, field(1, pixels)))
    target = field(1, b"label") + field(2, field(3, field(1, bytes([label]))))
    return field(1, field(1, image) + field(1, target))


def main() -> None:
    """Write the training shards and the held-out file."""
    from sklearn.datasets import load_digits  # type: ignore[import-not-found,unused-ignore]

    digits = load_digits()
    shards: dict[str, list[bytes]] = {f"digits-train-{i}": [] for i in range(SHARDS)}
    shards["digits-eval-0"] = []
    seen = [0] * 10
    for number, (image, target) in enumerate(zip(digits.images, digits.target, strict=True)):
        label = int(target)
        seen[label] += 1
        name = "digits-eval-0" if seen[label] % HELD_OUT == 0 else f"digits-train-{number % SHARDS}"
        shards[name].append(record(example(image.astype("uint8").tobytes(), label)))
    OUT.mkdir(parents=True, exist_ok=True)
    for name, records in shards.items():
        (OUT / f"{name}.tfrecord").write_bytes(b"".join(records))
        print(f"{name}: {len(records)} images")


if __name__ == "__main__":
    main()

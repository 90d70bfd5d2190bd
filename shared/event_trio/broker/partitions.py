"""Divides message groups into partitions, for brokers that order messages by partition and not by group."""

from __future__ import annotations

from zlib import crc32

PARTITIONS = 16
"""Of one topic. The number must not change while messages are stored: a group in two partitions is out of order."""


def partition_of(group: str, partitions: int = PARTITIONS) -> int:
    """The partition of a group, the same in every process and version: CRC-32 of its UTF-8 text, modulo the number."""
    return crc32(group.encode("utf-8", "surrogatepass")) % partitions

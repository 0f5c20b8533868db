"""Documents as they are stored: in BSON, where equal bytes are equal values, types and order of fields."""

import hashlib
from collections.abc import Iterator
from typing import Any

import bson
from bson.codec_options import CodecOptions, DatetimeConversion

__all__ = ["Content", "decoded", "encoded", "mark", "split"]

Document = dict[str, Any]


def encoded(document: Document) -> bytes:
    """Return a document as it is stored."""
    return bytes(bson.encode(document))


def decoded(document: bytes) -> Document:
    """Return a stored document, whatever is in it."""
    lenient: CodecOptions[Document] = CodecOptions(
        tz_aware=True, datetime_conversion=DatetimeConversion.DATETIME_AUTO, unicode_decode_error_handler="replace"
    )
    return bson.decode(document, lenient)


class Content:
    """What some documents come to, in whatever order: told from others without keeping any of them."""

    def __init__(self) -> None:
        """Begin with none."""
        self.sum = 0

    def add(self, document: bytes) -> None:
        """Add one, as it is stored."""
        self.sum = (self.sum + int.from_bytes(mark(document)[:8])) % 2**63  # the largest whole number of BSON


def mark(document: bytes) -> bytes:
    """Return 16 bytes that stand for a document as it is stored."""
    return hashlib.blake2b(document, digest_size=16).digest()


def split(batch: bytes) -> Iterator[bytes]:
    """Yield the documents of a batch: BSON begins with its length."""
    begin = 0
    while begin < len(batch):
        end = begin + int.from_bytes(batch[begin : begin + 4], "little")
        yield batch[begin:end]
        begin = end

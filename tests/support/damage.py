"""Ways in which a disk, a power cut or a person damages a file."""

import json
import random
import shutil
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

__all__ = ["DAMAGES"]


def _empty(path: Path) -> None:
    path.write_bytes(b"")


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: -max(20, path.stat().st_size // 8)])


def _flip(path: Path) -> None:
    """Flip a bit: of a table's rows themselves, behind the four bytes at the beginning; else anywhere."""
    content = bytearray(path.read_bytes())
    span = (30, 60) if path.suffix == ".parquet" else (1, len(content) - 1)
    content[random.Random(path.name).randrange(*span)] ^= 8
    path.write_bytes(content)


def _of_another_time(path: Path) -> None:
    """Lay the file of another hour, day or kind, whole as it is, under this name."""
    if path.suffix != ".parquet":
        others = (p for p in sorted(path.parents[1].rglob(f"*{path.suffix}")) if p.read_bytes() != path.read_bytes())
        path.write_bytes(next(others, path.parents[1] / "last_success.json").read_bytes())
        return
    if path.parent.name in ("raw", "forecast", "stations"):
        shutil.copy(next(p for p in sorted(path.parent.glob("*.parquet")) if p != path), path)
        return
    other = next((p for p in sorted(path.parents[1].glob(f"*/{path.name}")) if p != path), None)
    table = pq.ParquetFile(other or path).read()
    if other is None:  # there is one ledger: the same one, of a day later
        moved = pa.array([at + timedelta(days=1) for at in table["observed_at"].to_pylist()], pa.timestamp("us", "UTC"))
        table = table.set_column(table.column_names.index("observed_at"), "observed_at", moved)
    pq.write_table(table, path)


def _foreign(path: Path) -> None:
    if path.suffix == ".parquet":
        pq.write_table(pa.table({"a": [1]}), path)
    else:
        path.write_text(json.dumps({"a": 1}))


DAMAGES: dict[str, Callable[[Path], None]] = {
    "empty": _empty,
    "cut": _cut,
    "bit": _flip,
    "other": _of_another_time,
    "foreign": _foreign,
}

"""Tables of images written and read by Frontalbench and by pyarrow alone, in turns, in one run.

Ours builds a table from rows, checks their order, counts statuses, writes whole-or-not and with checksums, and verifies these when reading; pyarrow
gets the finished columns and the same compression, with checksums off.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from frontalbench import status, tables


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=4000, metavar="N", help="images in a table (default: 4000)")
    parser.add_argument("--bytes", type=int, default=18_000, metavar="N", help="bytes of an image (default: 18000, a crop)")
    parser.add_argument("--repeats", type=int, default=5, metavar="N", help="rounds (default: 5)")
    arguments = parser.parse_args()
    noise = np.random.default_rng(0).bytes(arguments.bytes * 2)
    rows = [
        {"image_id": f"{i:06}", "identity": str(i % 50), "role": "probe", "status": status.OK, "detail": "", "seconds": 0.1}
        | {"image": noise[i % arguments.bytes :][: arguments.bytes]}
        for i in range(arguments.rows)
    ]
    columns = pa.Table.from_pylist(rows, schema=tables.FRONTALS)
    with tempfile.TemporaryDirectory() as folder:
        ours, bare = Path(folder, "ours.parquet"), Path(folder, "bare.parquet")

        def write_ours() -> None:
            with tables.Writer(ours, tables.FRONTALS, {}) as writer:
                for start in range(0, len(rows), 32):
                    writer.add(rows[start : start + 32])

        def write_bare() -> None:
            compression = {field.name: "NONE" if pa.types.is_binary(field.type) else "ZSTD" for field in tables.FRONTALS}
            pq.write_table(columns, bare, compression=compression, write_statistics=False, row_group_size=1800)
            with bare.open("rb+") as handle:
                os.fsync(handle.fileno())

        def read_ours() -> None:
            for _ in tables.iterate(ours, tables.FRONTALS):
                pass

        def read_bare() -> None:
            with pq.ParquetFile(bare) as file:
                for chunk in file.iter_batches(batch_size=32):
                    chunk.to_pylist()

        contestants: dict[str, Callable[[], None]] = {
            "write, Frontalbench": write_ours,
            "write, pyarrow": write_bare,
            "read, Frontalbench": read_ours,
            "read, pyarrow": read_bare,
        }
        seconds: dict[str, list[float]] = {name: [] for name in contestants}
        for turn in range(arguments.repeats + 1):
            for name, run in contestants.items():
                start = time.perf_counter()
                run()
                if turn:  # the first warms the disk up
                    seconds[name].append(time.perf_counter() - start)
        megabytes = ours.stat().st_size / 1e6
    print(f"{arguments.rows:,} rows, {megabytes:.0f} MB, {arguments.repeats} rounds in turns, load {os.getloadavg()[0]:.1f}")
    print(f"{'':24}{'MB/s: min':>12}{'median':>9}{'max':>9}{'us a row':>10}")
    for name, each in seconds.items():
        rates = sorted(megabytes / s for s in each)
        print(f"{name:24}{rates[0]:12.0f}{statistics.median(rates):9.0f}{rates[-1]:9.0f}{statistics.median(each) / len(rows) * 1e6:10.1f}")
    for what in ("write", "read"):
        pairs = zip(seconds[f"{what}, pyarrow"], seconds[f"{what}, Frontalbench"], strict=True)
        print(f"{what}: {statistics.median(a / b for a, b in pairs):.0%} of pyarrow's speed")


if __name__ == "__main__":
    main()

#!/usr/bin/env bash
# Bytes between the last page and the footer of a Parquet file: who minds?
# Guessed:  a reader that checks where its footer begins would refuse forty bytes that no page and no footer accounts for.
# Seen:     pyarrow 26.0.1, polars 2.1.0, duckdb 2.0.1 and fastparquet 2026.9.0 read the file as if they were not there, with columns chosen and rows
#           filtered too; pyarrow gives the same metadata object (equal, and the same serialized size), and none of them keeps the bytes when it writes anew.
# Why it matters: a footer has no checksum of its own (pages may have one). A digest of the footer put just in front of it can be checked before any
#           parser sees the footer, and the file stays an ordinary Parquet file for everybody else. Tables of embeddings and similarities that are kept for
#           months want that.
# Source:   the format finds pages by absolute offset and the footer by its length from the end (parquet-format README, "File format"); that unaccounted
#           bytes are legal is nowhere said in words.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check 'pyarrow==26.0.1' 'polars==2.1.0' 'duckdb==2.0.1' 'fastparquet==2026.9.0' 'numpy<2.5' 2>/dev/null
cd "$work"
"$work/venv/bin/python" - <<'PY'
import os
import duckdb, fastparquet, polars, pyarrow, pyarrow as pa, pyarrow.parquet as pq

print("versions:", "pyarrow", pyarrow.__version__, "polars", polars.__version__, "duckdb", duckdb.__version__, "fastparquet", fastparquet.__version__)
table = pa.table({"image_id": [f"{i:03d}" for i in range(50)], "score": [i / 7 for i in range(50)]})
pq.write_table(table, "plain.parquet", row_group_size=20)
data = open("plain.parquet", "rb").read()
size = int.from_bytes(data[-8:-4], "little") + 8
seal = b"A SEAL" + os.urandom(34)
open("gap.parquet", "wb").write(data[:-size] + seal + data[-size:])

seen = {}
for name in ("plain", "gap"):
    file = f"{name}.parquet"
    seen[name] = {
        "pyarrow": pq.read_table(file, columns=["score"], filters=[("image_id", ">", "040")]).column("score").to_pylist(),
        "polars": polars.scan_parquet(file).filter(polars.col("image_id") > "040").select("score").collect()["score"].to_list(),
        "duckdb": [row[0] for row in duckdb.sql(f"select score from '{file}' where image_id > '040' order by image_id").fetchall()],
        "fastparquet": fastparquet.ParquetFile(file).to_pandas(columns=["image_id", "score"]).query("image_id > '040'")["score"].tolist(),
    }
    assert len(seen[name]["pyarrow"]) == 9
for reader in seen["plain"]:
    print(f"{reader}: the file with 40 bytes before its footer reads {'the same' if seen['gap'][reader] == seen['plain'][reader] else 'DIFFERENTLY'}")
    assert seen["gap"][reader] == seen["plain"][reader]
a, b = pq.read_metadata("plain.parquet"), pq.read_metadata("gap.parquet")
assert a.equals(b) and a.serialized_size == b.serialized_size
print("pyarrow's metadata of both files are equal, serialized size", a.serialized_size)
pq.write_table(pq.read_table("gap.parquet"), "again.parquet", row_group_size=20)
assert seal not in open("again.parquet", "rb").read()
print("written anew, the bytes are gone")
PY
echo "as described"

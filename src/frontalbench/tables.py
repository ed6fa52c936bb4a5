"""Parquet tables between the stages: schemas, atomic writing, provenance.

Each stage has one schema in :data:`SCHEMAS`. A table is written whole or not at all, rows in ``image_id`` order where the schema has one, and
carries a small JSON provenance record in its metadata under ``frontalbench``. Two tables with equal :func:`content_digest` hold the same values.

Damage is noticed by every reader: a checksum per page guards the values, and a seal (:mod:`frontalbench.files.footer`) what no page checksum covers:
column names, types, the number of rows, and the records.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from frontalbench.errors import BadInput
from frontalbench.files import atomic, footer
from frontalbench.quality import measures

METADATA_KEY = b"frontalbench"
CONTENT = "content:"
"""Before a digest of an input that is a :func:`content_digest` and not the sha256 of the file."""
RUN_KEY = b"frontalbench_run"
"""What a run cost (seconds, memory): different each time, so apart from the provenance."""

_HEAD = [
    ("image_id", pa.string()),
    ("identity", pa.string()),
    ("role", pa.string()),
]
_STATUS = [("status", pa.string()), ("detail", pa.string())]

IMAGES = pa.schema(
    [
        *_HEAD,  # role: reference | probe | auto (decided by measured pose at compare) | unused
        ("subject", pa.string()),  # the person; equals identity unless several identities (sequences) are one person
        ("sequence", pa.string()),  # recording or session, "" where there is none
        ("source", pa.string()),  # path relative to the dataset root, for people
        ("sha256", pa.string()),  # of the file's bytes
        ("width", pa.int32()),
        ("height", pa.int32()),
        ("yaw", pa.float32()),  # ground-truth or nominal pose in degrees, null where unknown
        ("pitch", pa.float32()),
        ("roll", pa.float32()),
        ("pose_source", pa.string()),  # "ground_truth" | "nominal" | "" ; measured pose lives in the pose table
        *_STATUS,
        ("image", pa.binary()),  # the file's own bytes, null when status is not ok
    ]
)
LISTED = pa.schema([field for field in IMAGES if field.name != "image"])
"""What is known of every image, without the images."""
POSE = pa.schema([*_HEAD, *_STATUS, ("yaw", pa.float32()), ("pitch", pa.float32()), ("roll", pa.float32()), ("confidence", pa.float32())])
FRONTALS = pa.schema([*_HEAD, *_STATUS, ("seconds", pa.float32()), ("image", pa.binary())])
"""Also the schema of ``variants``: PNG bytes, null when status is not ok. ``seconds``: model time of this image, loading left out."""
DRAWN = pa.schema([*_HEAD, *_STATUS, ("seconds", pa.float32()), ("matrix", pa.list_(pa.float64(), 6)), ("image", pa.binary())])
"""Faces as a network drew them (``frontalbench.enhance.drawn``): the map from the image's pixels, the packed values as PNG."""
CROPS = pa.schema(
    [
        *_HEAD,
        *_STATUS,
        ("score", pa.float32()),
        ("n_faces", pa.int32()),
        ("box", pa.list_(pa.float32(), 4)),
        ("points", pa.list_(pa.float32(), 10)),  # x, y of the five points
        ("image", pa.binary()),  # aligned 112 x 112 crop, PNG
    ]
)


def embeddings_schema(dimension: int) -> pa.Schema:
    """Schema of an embeddings table of ``dimension``-d vectors (L2-normalised; ``norm`` is the length before)."""
    return pa.schema([*_HEAD, *_STATUS, ("score", pa.float32()), ("norm", pa.float32()), ("embedding", pa.list_(pa.float32(), dimension))])


SIMILARITY = pa.schema(
    [
        ("image_id", pa.string()),
        ("identity", pa.string()),
        ("subject", pa.string()),
        ("role", pa.string()),  # resolved: reference | probe | unused
        ("yaw", pa.float32()),  # pose used for bins: ground truth, else measured, else nominal
        ("pitch", pa.float32()),
        ("roll", pa.float32()),
        ("yaw_source", pa.string()),  # "ground_truth" | "measured" | "nominal" | ""
        ("nominal_yaw", pa.float32()),
        ("status", pa.string()),  # ok | the failure of this image in this variant | no_reference
        ("detail", pa.string()),
        ("genuine", pa.float32()),  # mean similarity to the subject's (other) references, original variant
        ("genuine_sd", pa.float32()),  # standard deviation over those pairs
        ("n_references", pa.int32()),
        ("impostor", pa.float32()),  # mean similarity to the references of all other subjects
        ("impostor_sd", pa.float32()),  # standard deviation over those pairs
        ("impostor_moves", pa.list_(pa.float16())),  # by how much `impostor` changes when the references of each (group of) people are gone
        ("impostor_max", pa.float32()),
        ("n_impostors", pa.int32()),
        ("rank", pa.int32()),  # 1 = no other subject has a reference as similar as the own best one
        ("to_original", pa.float32()),  # similarity to the same image in variant `original` (Frontal vs Angled)
        ("within", pa.float32()),  # mean similarity to the subject's other probes in this variant (Angled vs Angled)
        ("n_within", pa.int32()),
        ("n_same_photo", pa.int32()),  # other images with the same bytes; pairs with them are not counted anywhere
    ]
)
"""One row per image of the dataset in one cell (dataset, variant, detector, backbone)."""

QUALITY = pa.schema(
    [
        *_HEAD,  # role: resolved
        ("subject", pa.string()),
        *_STATUS,
        ("reference_id", pa.string()),  # the image that it was compared with, null when the person has no other usable reference
        *((name, pa.float32()) for name in measures.STORED),  # what each is: quality/measures.py
    ]
)
"""How good the images of one variant are; one row per image of the dataset."""

DISTRIBUTION = pa.schema(
    [
        ("measure", pa.string()),  # fid | kid
        ("status", pa.string()),
        ("detail", pa.string()),
        ("value", pa.float64()),  # null where not supported by n
        ("low", pa.float64()),  # 95 % interval over people, kid only
        ("high", pa.float64()),
        ("n_images", pa.int32()),  # probes of the variant
        ("n_subjects", pa.int32()),
        ("n_references", pa.int32()),  # photographs that they are held against
        ("n_reference_subjects", pa.int32()),
    ]
)
"""How far the images of one variant, as a set, are from the dataset's photographed references; a row per measure."""

SCHEMAS: dict[str, pa.Schema] = {
    "images": IMAGES,
    "listed": LISTED,
    "pose": POSE,
    "frontals": FRONTALS,
    "drawn": DRAWN,
    "crops": CROPS,
    "similarity": SIMILARITY,
    "quality": QUALITY,
    "distribution": DISTRIBUTION,
}


def write(path: str | os.PathLike[str], table: pa.Table, provenance: Mapping[str, Any] | None = None, *, row_group_size: int = 256) -> None:
    """Write ``table`` to ``path`` atomically, with ``provenance`` (JSON-serialisable) in its metadata."""
    with replacing(path) as temporary:
        pq.write_table(
            table.replace_schema_metadata(with_record(table.schema, provenance or {}).metadata),
            temporary,
            compression="zstd",
            compression_level=1,
            row_group_size=row_group_size,
            use_dictionary=[f.name for f in table.schema if pa.types.is_string(f.type)],
            write_statistics=False,
            write_page_checksum=True,
        )


@contextlib.contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[Path]:
    """:func:`atomic.replacing` for a Parquet file, which is sealed when the block has ended well."""
    with atomic.replacing(path) as temporary:
        yield temporary
        footer.seal(temporary)


def with_record(schema: pa.Schema, provenance: Mapping[str, Any]) -> pa.Schema:
    """``schema`` with a provenance record in the metadata."""
    return schema.with_metadata({METADATA_KEY: json.dumps(dict(provenance), sort_keys=True).encode()})


@contextlib.contextmanager
def _opened(path: str | os.PathLike[str]) -> Iterator[pq.ParquetFile]:
    """A Parquet file, its checksums verified as it is read; whatever is wrong with it becomes one :class:`BadInput`."""
    with _said_in_one_line(path):
        problem = footer.problem(path)
        if problem:
            raise pa.ArrowInvalid(problem)
        # Not pq.read_table: that imports pyarrow.dataset and with it pandas, a third of a second in every job.
        # Not pre_buffer: that holds the whole file until the last row group has been read.
        with pq.ParquetFile(path, page_checksum_verification=True, pre_buffer=False) as file:
            yield file


@contextlib.contextmanager
def _said_in_one_line(path: str | os.PathLike[str]) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        raise BadInput(f"{path}: not found; run the stage that writes it first") from None
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        first = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise BadInput(f"{path}: not a readable Parquet file ({first}); delete it and run again to rebuild it") from error


def read(path: str | os.PathLike[str], schema: pa.Schema | None = None, columns: Sequence[str] | None = None) -> pa.Table:
    """Read a table; with ``schema`` its columns must be there with the same types.

    Raises :class:`BadInput` with the file's name when it is missing, truncated, corrupt or of another stage.
    """
    with _opened(path) as file:
        table = file.read(columns=list(columns) if columns is not None else None)
    if schema is not None:
        for field in schema:
            if columns is not None and field.name not in columns:
                continue
            index = table.schema.get_field_index(field.name)
            if index < 0 or table.schema.field(index).type != field.type:
                found = "missing" if index < 0 else str(table.schema.field(index).type)
                raise BadInput(f"{path}: column '{field.name}' should be {field.type}, is {found}; is this the table of another stage?")
    return table


def verify(path: str | os.PathLike[str]) -> None:
    """Read every page of a table and forget it. Raises :class:`BadInput` as :func:`read` does."""
    with _opened(path) as file:
        for group in range(file.num_row_groups):
            file.read_row_group(group)


def provenance(path: str | os.PathLike[str]) -> dict[str, Any]:
    """The provenance record of a table (empty when it has none). Raises :class:`BadInput` as :func:`read` does."""
    with _opened(path) as file:
        return _record(path, file.schema_arrow.metadata, METADATA_KEY)


def identified(path: str | os.PathLike[str]) -> tuple[str, dict[str, Any]]:
    """(sha256 of the file's bytes, provenance record) of a table, which is opened once. Raises :class:`BadInput` as :func:`read` does."""
    with _said_in_one_line(path), Path(path).open("rb") as handle:
        digest = hashlib.file_digest(handle, "sha256").hexdigest()
        problem = footer.problem_in(handle)
        if problem:
            raise pa.ArrowInvalid(problem)
        with pq.ParquetFile(handle) as file:
            return digest, _record(path, file.schema_arrow.metadata, METADATA_KEY)


def run_record(path: str | os.PathLike[str]) -> dict[str, Any]:
    """What :meth:`Writer.note_run` left in a table (empty when nothing). Raises :class:`BadInput` as :func:`read` does."""
    with _opened(path) as file:
        return _record(path, file.metadata.metadata, RUN_KEY)


def _record(path: str | os.PathLike[str], metadata: Mapping[bytes, bytes] | None, key: bytes) -> dict[str, Any]:
    """A record in a table's metadata, {} where there is none. Raises :class:`BadInput` where it is no mapping in JSON."""
    try:
        record = json.loads((metadata or {}).get(key, b"{}"))
    except (ValueError, RecursionError):
        record = None
    inputs = record.get("inputs", {}) if isinstance(record, dict) else None
    if not isinstance(record, dict) or not isinstance(inputs, dict) or not all(isinstance(seal, str) for seal in inputs.values()):
        raise BadInput(f"{path}: its record of how it was made cannot be read; delete it and run again to rebuild it")
    return record


def from_rows(rows: Iterable[Mapping[str, Any]], schema: pa.Schema) -> pa.Table:
    """A table from row dictionaries, sorted by ``image_id`` where the schema has it; missing keys become null, unknown keys are an error."""
    rows = list(rows)
    known = set(schema.names)
    for row in rows:
        unknown = set(row) - known
        if unknown:
            raise KeyError(f"unknown columns {sorted(unknown)}")
    if "image_id" in known:
        rows.sort(key=lambda row: row["image_id"])
    return pa.Table.from_pylist(rows, schema=schema)


def embedding_matrix(table: pa.Table) -> np.ndarray:
    """The ``embedding`` column as float32 (N, D); rows whose status is not ok are zero."""
    column = table.column("embedding").combine_chunks()
    dimension = column.type.list_size
    matrix = np.zeros((len(column), dimension), np.float32)
    valid = np.asarray(column.is_valid())
    if valid.any():
        matrix[valid] = np.asarray(column.drop_null().flatten(), dtype=np.float32).reshape(-1, dimension)
    return matrix


def concatenate(paths: Sequence[str | os.PathLike[str]], schema: pa.Schema | None = None, columns: Sequence[str] | None = None) -> pa.Table:
    """Shards of one stage as one table, in ``image_id`` order."""
    table = pa.concat_tables([read(path, schema, columns).replace_schema_metadata(None) for path in paths])
    return table.sort_by("image_id") if "image_id" in table.column_names else table


def content_digest(path: str | os.PathLike[str]) -> str:
    """sha256 over schema and values of a table, whatever its provenance record and file layout; columns named ``seconds`` are left out."""
    table = read(path).replace_schema_metadata(None).combine_chunks()
    if "seconds" in table.column_names:
        table = table.drop_columns(["seconds"])
    digest = hashlib.sha256(str(table.schema).encode())
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    digest.update(sink.getvalue())
    return digest.hexdigest()


def same_as_recorded(path: str | os.PathLike[str], digest: str) -> bool:
    """Whether a file is what a provenance record says by ``digest``. Raises :class:`BadInput` for a damaged table, OSError for no file."""
    if digest.startswith(CONTENT):
        return content_digest(path) == digest.removeprefix(CONTENT)
    return file_sha256(path) == digest


def file_sha256(path: str | os.PathLike[str]) -> str:
    """sha256 of a file's bytes, read in blocks."""
    with Path(path).open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def iterate(path: str | os.PathLike[str], schema: pa.Schema, *, batch: int = 32) -> Iterator[list[dict[str, Any]]]:
    """Rows of a table as lists of at most ``batch`` dictionaries, one row group in memory at a time.

    Raises :class:`BadInput` as :func:`read` does, also when a page further back turns out to be corrupt.
    """
    read(path, schema, columns=["status"])  # the schema check, and a first look at the file
    with _opened(path) as file:
        for chunk in file.iter_batches(batch_size=batch, columns=schema.names):
            yield chunk.to_pylist()


class Writer:
    """Writes a table in row groups as rows come; the file appears under its name only when the ``with`` block ends well.

    >>> with Writer("frontals.parquet", FRONTALS, {"stage": "frontalize"}) as writer:  # doctest: +SKIP
    ...     writer.add(rows)
    """

    def __init__(
        self, path: str | os.PathLike[str], schema: pa.Schema, provenance: Mapping[str, Any], *, group_bytes: int = 32 << 20
    ) -> None:
        self._schema = with_record(schema, provenance)
        self._replacing = replacing(path)
        self._group_bytes = group_bytes
        self._rows: list[dict[str, Any]] = []
        self._held = 0
        self._last = ""
        self.counts: dict[str, int] = {}
        """Rows so far by status."""

    def __enter__(self) -> Writer:
        temporary = self._replacing.__enter__()
        try:
            self._file = pq.ParquetWriter(
                temporary,
                self._schema,
                # Images are compressed already.
                compression={field.name: "NONE" if pa.types.is_binary(field.type) else "ZSTD" for field in self._schema},
                use_dictionary=[f.name for f in self._schema if pa.types.is_string(f.type)],
                write_statistics=False,
                write_page_checksum=True,
            )
        except BaseException as error:
            self._replacing.__exit__(type(error), error, error.__traceback__)
            raise
        return self

    def add(self, rows: Iterable[dict[str, Any]]) -> None:
        """Append rows; they must come in ``image_id`` order."""
        for row in rows:
            if row["image_id"] <= self._last:
                raise ValueError(f"rows out of order: {row['image_id']!r} after {self._last!r}")
            self._last = row["image_id"]
            self.counts[row["status"]] = self.counts.get(row["status"], 0) + 1
            self._rows.append(row)
            self._held += len(row.get("image") or b"")
            if len(self._rows) >= 512 or self._held >= self._group_bytes:
                self._flush()

    def note_run(self, record: Mapping[str, Any]) -> None:
        """Leave what the run cost in the file's metadata; rows and provenance stay as they are. Call it once, before the block ends."""
        self._file.add_key_value_metadata({RUN_KEY: json.dumps(dict(record), sort_keys=True).encode()})

    def _flush(self) -> None:
        if self._rows:
            self._file.write_table(pa.Table.from_pylist(self._rows, schema=self._schema))
            self._rows, self._held = [], 0

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        try:
            if kind is None:
                self._flush()
            self._file.close()
        except BaseException as failure:
            self._replacing.__exit__(type(failure), failure, failure.__traceback__)
            raise
        self._replacing.__exit__(kind, error, trace)


def image_schema(columns: Sequence[str]) -> pa.Schema:
    """``columns`` as a schema; they must be columns that every table of images (images, frontals, variants, crops) has."""
    return pa.schema([FRONTALS.field(name) for name in columns])

"""Reads one file of a table, whatever its format, and never guesses silently.

CSV, TSV, JSON Lines, a JSON array and Parquet, each also gzipped. What can be repaired without changing what
a row means (a byte order mark, bytes that are not valid text, NUL bytes) is repaired and counted in
`Table.notes`; anything that makes the meaning of a row doubtful ends in an error that names file and line.
"""

import contextlib
import csv
import dataclasses
import gzip
import io
import json
import sys
import threading
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from streams.errors import StreamError
from streams.options import option, unknown

_DELIMITERS = {".csv": ",", ".tsv": "\t", ".tab": "\t"}
_JSON = (".jsonl", ".ndjson", ".json")
SUFFIXES = (*_DELIMITERS, *_JSON, ".parquet")
"""File name endings that can be read, each also followed by `.gz`."""

REPLACED, REMOVED = "undecodable_bytes_replaced", "nul_bytes_removed"
"""What is counted in `Table.notes`."""

_GZIP_MAGIC = b"\x1f\x8b"
_ZIP_MAGIC = b"PK\x03\x04"
# Above this share of repaired characters the file is not text in the stated encoding but something else.
_MAX_REPAIRED = 0.1
# The limit on the length of a field is one number for the whole process, so it is raised under a lock.
_FIELD_LIMIT = threading.Lock()


@dataclasses.dataclass(frozen=True, kw_only=True)
class FileOptions:
    """How the bytes of text tables are read; Parquet needs none of it."""

    delimiter: str | None = option(None, "character between fields; by default , for .csv and a tab for .tsv")
    quoting: Literal["auto", "standard", "literal"] = option(
        "auto",
        "meaning of a double quote: standard (it encloses fields), literal (an ordinary character) or auto "
        "(standard where the whole file then fits its header, else literal)",
    )
    header: tuple[str, ...] | None = option(
        None,
        "names of the columns of CSV and TSV files that have no header line; by default their first line holds them",
    )
    encoding: str = option(
        "utf-8",
        "character encoding of text files without a byte order mark; auto: UTF-8 where the bytes are that, else "
        "windows-1252",
    )


@dataclasses.dataclass(frozen=True)
class Table:
    """Columns of one file as read, before any meaning is given to them.

    Attributes:
        file: where it came from, for messages.
        columns: names as in the file; a name may occur twice as long as nobody asks for it.
        cells: one sequence of cells for each name; values are str in text files, any JSON value elsewhere.
        lines: for each row the number that a person finds it by: line of a text file, row of a Parquet file.
        notes: what was repaired or decided while reading.
    """

    file: str
    columns: tuple[str, ...]
    cells: Sequence[Any]
    lines: Sequence[int]
    notes: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    def column(self, name: str) -> list[Any]:
        """All cells of the column `name`, or a `StreamError` that lists the columns there are."""
        if self.columns.count(name) > 1:
            raise StreamError(f"{self.file} has more than one column {name!r}; rename all but one.")
        if name not in self.columns:
            raise StreamError(f"{self.file} was asked for the {unknown('column', name, self.columns)}")
        values = self.cells[self.columns.index(name)]
        return values.to_pylist() if hasattr(values, "to_pylist") else list(values)


def read_table(path: str | Path, options: FileOptions | None = None) -> Table:
    """Reads the table in the file `path`.

    Raises:
        StreamError: the file is missing, empty, of an unknown type, damaged, or a row does not fit the
            header.
    """
    path, options = Path(path), options or FileOptions()
    suffix = table_suffix(path)
    if path.is_dir():
        raise StreamError(f"Could not read {path}: expected a file, found a folder; name a file in it.")
    if suffix is None and not path.exists():
        raise StreamError(f"Could not read {path}: {missing_file(path)}")
    if suffix is None:
        raise StreamError(
            f"{path} is not a known kind of table; use a file ending in {', '.join(SUFFIXES)} or those with .gz."
        )
    if suffix == ".parquet":
        return _read_parquet(str(path), _read_bytes(path))
    text, notes = read_text(path, options.encoding)
    if suffix in _JSON:
        table = _read_json(str(path), text)
    else:
        delimiter = options.delimiter or _DELIMITERS[suffix]
        table = _read_delimited(str(path), text, delimiter, options.quoting, options.header)
    return dataclasses.replace(table, notes={**notes, **table.notes})


def read_text(path: Path, encoding: str = "utf-8") -> tuple[str, dict[str, int]]:
    """The text of the file `path`, unpacked if it is gzipped, and counts of what had to be repaired in it."""
    return decoded(str(path), _read_bytes(path), encoding)


def table_suffix(path: Path) -> str | None:
    """The ending that decides how `path` is read, without `.gz`, or None where it is no table."""
    suffix = path.with_suffix("").suffix if path.suffix.lower() == ".gz" else path.suffix
    return suffix.lower() if suffix.lower() in SUFFIXES else None


def is_delimited(file: str) -> bool:
    """Whether a file is a CSV or TSV, whose first line names its columns unless `FileOptions.header` does."""
    return table_suffix(Path(file)) in _DELIMITERS


@contextlib.contextmanager
def reading_errors(path: Path) -> Iterator[None]:
    """Tells in one sentence why a file, packed by gzip or not, cannot be read.

    Raises:
        StreamError: It cannot.
    """
    try:
        yield
    except FileNotFoundError:
        raise StreamError(f"Could not read {path}: {missing_file(path)}") from None
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise StreamError(f"Could not read {path}: its gzip data are damaged ({error}); fetch it again.") from error
    except OSError as error:
        raise StreamError(f"Could not read {path}: {error.strerror}; check its permissions and the disk.") from error


def _read_bytes(path: Path) -> bytes:
    with reading_errors(path):
        data = path.read_bytes()
        if data.startswith(_GZIP_MAGIC):
            data = gzip.decompress(data)
    if data.startswith(_ZIP_MAGIC):
        raise StreamError(f"{path} is a zip archive or a spreadsheet; unpack it, or save it as CSV.")
    if not data.strip():
        raise StreamError(f"{path} is empty; expected text with at least one row.")
    return data


def missing_file(path: Path) -> str:
    """The tail of a message about a file that is not there."""
    try:
        names = sorted(entry.name for entry in path.parent.iterdir())
    except OSError:
        names = []
    if not names:
        return f"the folder {path.parent} is missing or empty; correct the path."
    return unknown("file", path.name, names)


def decoded(file: str, data: bytes, encoding: str) -> tuple[str, dict[str, int]]:
    """The text in the bytes of `file`, and counts of what had to be repaired in it.

    Raises:
        StreamError: Too much would have to be repaired, or there is no such encoding.
    """
    for mark, marked in ((b"\xef\xbb\xbf", "utf-8-sig"), (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16")):
        if data.startswith(mark):
            encoding = marked
    notes = {}
    if encoding == "auto":
        encoding = _guessed(data)
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError:
        text = data.decode(encoding, errors="replace")
        notes[REPLACED] = text.count("\ufffd")
    except LookupError:
        raise StreamError(f"{file} was to be read as {encoding!r}, which is no known encoding; try 'utf-8'.") from None
    if nul := text.count("\0"):
        text = text.replace("\0", "")
        notes[REMOVED] = nul
    if sum(notes.values()) > _MAX_REPAIRED * (len(text) + nul):
        raise StreamError(f"{file} is not {encoding} text; name the right encoding or convert the file to UTF-8.")
    return text, notes


def _guessed(data: bytes) -> str:
    """UTF-8 has a form that other text does not take by chance, so what decodes is that."""
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        return "windows-1252"
    return "utf-8"


def _read_parquet(file: str, data: bytes) -> Table:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(pa.BufferReader(data))
    except (pa.ArrowException, OSError) as error:
        reason = str(error).splitlines()[0]
        raise StreamError(f"{file} is not a readable Parquet file ({reason}); fetch or write it again.") from error
    _require_rows(file, table.num_rows)
    return Table(file, tuple(table.column_names), table.columns, range(1, table.num_rows + 1))


def _read_json(file: str, text: str) -> Table:
    """JSON Lines, or one array of objects. A key that a row lacks reads as None."""
    if text.lstrip().startswith("["):
        rows: list[Any] = _parse_json(file, 1, text)
        lines: list[int] = list(range(1, len(rows) + 1))
        unit = "row"
    else:
        # Only \n separates rows: splitlines() would also break at U+2028 and friends inside a text.
        numbered = [(number, line) for number, line in enumerate(text.split("\n"), 1) if line.strip()]
        lines = [number for number, _ in numbered]
        rows = [_parse_json(file, number, line) for number, line in numbered]
        unit = "line"
    for number, row in zip(lines, rows, strict=True):
        if not isinstance(row, dict):
            raise StreamError(
                f'{file}, {unit} {number}: expected an object such as {{"text": ..., "label": ...}}, '
                f"found {type(row).__name__}; correct it."
            )
    _require_rows(file, len(rows))
    columns = tuple(dict.fromkeys(key for row in rows for key in row))
    return Table(file, columns, [[row.get(name) for row in rows] for name in columns], lines)


def _parse_json(file: str, line: int, text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        place = line + error.lineno - 1
        raise StreamError(f"{file}, line {place}: not valid JSON ({error.msg}); repair or remove the line.") from error
    except RecursionError:
        raise StreamError(f"{file}, line {line}: nested too deeply to be a row of a table; remove it.") from None


class _MalformedError(Exception):
    """The text does not parse under one meaning of the quote character; internal to this module."""


_Parsed = tuple[list[list[str]], list[int]]


_Header = tuple[str, ...] | None


def _read_delimited(file: str, text: str, delimiter: str, quoting: str, header: _Header = None) -> Table:
    if len(delimiter) != 1:
        raise StreamError(f"{file} was to be read with the delimiter {delimiter!r}; give a single character.")
    try:
        with _FIELD_LIMIT:
            limit = csv.field_size_limit(sys.maxsize)
            try:
                (rows, lines), used = _parse(text, delimiter, quoting, header)
            finally:
                csv.field_size_limit(limit)
    except _MalformedError as error:
        raise StreamError(f"{file}, {error}; repair the row or set delimiter or quoting.") from None
    if header is None and rows:
        header, rows, lines = tuple(rows[0]), rows[1:], lines[1:]
    _require_rows(file, len(rows))
    notes = {"quoting": used} if used == "literal" else {}
    return Table(file, header, list(zip(*rows, strict=True)), lines, notes)


def _parse(text: str, delimiter: str, quoting: str, header: _Header) -> tuple[_Parsed, str]:
    """Parses under the given meaning of quotes, or under the one that fits the whole file.

    Published TSV files often hold quote characters that mean nothing, and read in the standard way they
    swallow the rows up to the next quote. So in a file with quotes both meanings are tried. Standard is
    believed where every row then has as many fields as the header, unless the file is tab separated and the
    literal meaning fits too with more rows: an enclosed line break that also keeps the number of tabs is an
    accident.
    """
    if quoting != "auto":
        return _parse_rows(text, delimiter, quoting, header), quoting
    if '"' not in text:
        return _parse_rows(text, delimiter, "literal", header), "standard"
    try:
        standard = _parse_rows(text, delimiter, "standard", header)
    except _MalformedError:
        try:
            return _parse_rows(text, delimiter, "literal", header), "literal"
        except _MalformedError:
            return _parse_rows(text, delimiter, "standard", header), "standard"
    if delimiter == "\t":
        try:
            literal = _parse_rows(text, delimiter, "literal", header)
        except _MalformedError:
            return standard, "standard"
        if len(literal[0]) > len(standard[0]):
            return literal, "literal"
    return standard, "standard"


def _parse_rows(text: str, delimiter: str, quoting: str, header: _Header) -> _Parsed:
    """All rows, each as long as `header` or else as the first, which is the header; and the line each starts on."""
    quote = csv.QUOTE_NONE if quoting == "literal" else csv.QUOTE_MINIMAL
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, quoting=quote, strict=True)
    rows: list[list[str]] = []
    lines: list[int] = []
    start = 1
    try:
        for row in reader:
            if row:
                width = len(header or (rows[0] if rows else row))
                if len(row) != width:
                    raise _MalformedError(f"line {start}: expected {width} fields as in the header, found {len(row)}")
                rows.append(row)
                lines.append(start)
            start = reader.line_num + 1
    except csv.Error as error:
        raise _MalformedError(f"line {start}: {error}") from error
    return rows, lines


def _require_rows(file: str, rows: int) -> None:
    if rows < 1:
        raise StreamError(f"{file} has no rows; expected a table with column names and at least one row.")


def merged_notes(tables: Iterable[Table]) -> dict[str, Any]:
    """The notes of several tables, counts added up."""
    result: dict[str, Any] = {}
    for table in tables:
        for key, value in table.notes.items():
            result[key] = result.get(key, 0) + value if isinstance(value, int) else value
    return result

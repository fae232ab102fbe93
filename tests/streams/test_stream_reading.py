"""Reading files: every format, what is repaired and counted, what is refused."""

import csv
import gzip
import io
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.errors import StreamError
from streams.reading import FileOptions, merged_notes, read_table, table_suffix

ROWS = [
    {"text": "one, two", "label": "a"},
    {"text": 'say "hi"\tnow', "label": "b"},
    {"text": "drei 🚀", "label": "a"},
]


def delimited(rows, **options):
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, ["text", "label"], **options)
    writer.writeheader()
    writer.writerows(rows)
    return buffer.getvalue()


def parquet(rows):
    buffer = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows), buffer)
    return buffer.getvalue()


FORMATS = {
    "t.csv": lambda rows: delimited(rows),
    "t.tsv": lambda rows: delimited(rows, delimiter="\t"),
    "t.tab": lambda rows: delimited(rows, delimiter="\t", lineterminator="\n"),
    "t.jsonl": lambda rows: "\n".join(json.dumps(row) for row in rows),
    "t.ndjson": lambda rows: "\n\n".join(json.dumps(row, ensure_ascii=False) for row in rows),
    "t.json": lambda rows: json.dumps(rows, indent=1),
    "t.parquet": parquet,
}


@pytest.mark.parametrize("ending", ["", ".gz"])
@pytest.mark.parametrize("name", FORMATS)
def test_every_format_reads_the_same_rows(write, name, ending):
    table = read_table(write(name + ending, FORMATS[name](ROWS)))
    assert table.columns == ("text", "label")
    assert table.column("text") == [row["text"] for row in ROWS]
    assert table.column("label") == ["a", "b", "a"]
    assert table.notes == {}


def test_gzip_is_known_by_its_bytes_not_by_the_name(write):
    assert read_table(write("t.csv", gzip.compress(b"text\nx\n"))).column("text") == ["x"]
    path = write("t.gz", "")
    (plain := path.with_name("u.csv.gz")).write_bytes(b"text\nx\n")
    assert read_table(plain).column("text") == ["x"]


def test_lines_are_those_of_the_file(write):
    assert list(read_table(write("t.csv", 'text\n"a\nb"\n\nc\n')).lines) == [2, 5]
    assert list(read_table(write("t.jsonl", '{"a":1}\n\n{"a":2}\n')).lines) == [1, 3]
    assert list(read_table(write("t.json", '[{"a":1},{"a":2}]')).lines) == [1, 2]


def test_a_key_that_a_json_row_lacks_is_none(write):
    assert read_table(write("t.jsonl", '{"a":1}\n{"b":2}\n')).column("a") == [1, None]


def test_line_separators_inside_a_text_do_not_end_a_row(write):
    text = "one\u2028two\x85three\x0cfour"
    for name in ("t.jsonl", "t.csv", "t.tsv"):
        assert read_table(write(name, FORMATS[name]([{"text": text, "label": "x"}]))).column("text") == [text]
    raw = json.dumps({"text": text}, ensure_ascii=False)
    assert read_table(write("u.jsonl", raw + "\n" + raw)).column("text") == [text, text]


def test_byte_order_marks_and_encodings(write):
    content = "text,label\nnaïve,a\n"
    assert read_table(write("a.csv", b"\xef\xbb\xbf" + content.encode())).columns == ("text", "label")
    assert read_table(write("b.csv", content.encode("utf-16"))).column("text") == ["naïve"]
    assert read_table(write("c.csv", content.encode("latin-1")), FileOptions(encoding="latin-1")).column("text") == [
        "naïve"
    ]


def test_what_is_repaired_is_counted(write):
    table = read_table(write("t.csv", b"text,label\ncaf\xe9 and much more text that is fine,a\nn\x00ul,b\n"))
    assert table.column("text") == ["caf\ufffd and much more text that is fine", "nul"]
    assert table.notes == {"undecodable_bytes_replaced": 1, "nul_bytes_removed": 1}
    assert merged_notes([table, table]) == {"undecodable_bytes_replaced": 2, "nul_bytes_removed": 2}


def test_a_text_of_a_megabyte_is_read_and_the_global_limit_is_left_alone(write):
    limit = csv.field_size_limit()
    long = "wörd 🚀 " * 130_000
    for name in ("t.csv", "t.tsv", "t.jsonl"):
        assert read_table(write(name, FORMATS[name]([{"text": long, "label": "a"}]))).column("text") == [long]
    assert csv.field_size_limit() == limit


# The meaning of quotes.


def test_standard_quotes_in_tsv(write):
    content = 'text\tlabel\r\n"She said ""no"""\t1\r\nplain "word" here\t0\r\n'
    table = read_table(write("t.tsv", content))
    assert table.column("text") == ['She said "no"', 'plain "word" here']
    assert table.notes == {}


@pytest.mark.parametrize(
    "text",
    ['"Hello" he said', '"starts with a quote', 'ends with one"', '"', '5" nail', '"a" "b"', '""" three'],
)
def test_bare_quotes_in_tsv_are_ordinary_characters(write, text):
    content = f"text\tlabel\n{text}\t1\nmiddle\t0\n{text}\t1\n"
    assert read_table(write("t.tsv", content)).column("text") == [text, "middle", text]


def test_a_quote_that_would_swallow_whole_rows_is_an_ordinary_character(write):
    # Read in the standard way this is one row, whose text runs from the first quote to the last.
    table = read_table(write("t.tsv", 'text\tlabel\n"open\t1\nmiddle\t0\nclose"\t1\n'))
    assert table.column("text") == ['"open', "middle", 'close"']
    assert table.notes == {"quoting": "literal"}


def test_quoted_line_breaks_in_csv_are_kept(write):
    assert read_table(write("t.csv", 'text,label\n"a\nb",1\n"c, d",0\n')).column("text") == ["a\nb", "c, d"]


def test_csv_that_is_only_valid_without_quotes(write):
    table = read_table(write("t.csv", 'text,label\n"so" he said,1\nx,0\n'))
    assert table.column("text") == ['"so" he said', "x"]
    assert table.notes == {"quoting": "literal"}


def test_quoting_can_be_forced(write):
    path = write("t.tsv", 'text\tlabel\n"a"\t1\n')
    assert read_table(path, FileOptions(quoting="literal")).column("text") == ['"a"']
    assert read_table(path, FileOptions(quoting="standard")).column("text") == ["a"]


def test_a_table_without_a_header_line_is_given_one(write):
    options = FileOptions(header=("text", "label"))
    table = read_table(write("t.tsv", 'one\ta\n\n"two\tb\n'), options)
    assert (table.columns, table.column("text"), list(table.lines)) == (("text", "label"), ["one", '"two'], [1, 3])
    assert table.notes == {"quoting": "literal"}
    with pytest.raises(StreamError, match=r"line 2: expected 2 fields as in the header, found 3"):
        read_table(write("u.csv", "one,a\ntwo,b,c\n"), options)
    assert read_table(write("t.jsonl", '{"x": 1}\n'), options).columns == ("x",)


def test_another_delimiter(write):
    assert read_table(write("t.csv", "text;label\na, b;1\n"), FileOptions(delimiter=";")).column("text") == ["a, b"]


# What a text file can carry: no lone surrogates. NUL and the byte order mark are repaired before parsing.
texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\ufeff"), min_size=1)


@given(st.lists(st.tuples(texts, texts), min_size=1, max_size=5), st.sampled_from([",", "\t"]))
def test_whatever_csv_writes_is_read_back(rows, delimiter):
    from streams.reading import _read_delimited

    buffer = io.StringIO()
    csv.writer(buffer, delimiter=delimiter, quoting=csv.QUOTE_ALL).writerows([("text", "label"), *rows])
    table = _read_delimited("f", buffer.getvalue(), delimiter, "standard")
    assert list(zip(table.column("text"), table.column("label"), strict=True)) == rows


@given(st.lists(st.fixed_dictionaries({"text": texts, "label": st.integers() | st.booleans()}), min_size=1, max_size=5))
def test_whatever_json_writes_is_read_back(rows):
    from streams.reading import _read_json

    for text in ("\n".join(json.dumps(row, ensure_ascii=False) for row in rows), json.dumps(rows)):
        table = _read_json("f", text)
        assert [dict(zip(table.columns, row, strict=True)) for row in zip(*table.cells, strict=True)] == rows


BAD_FILES = {
    "empty.csv": (b"", "is empty"),
    "blank.jsonl": (b" \n\n", "is empty"),
    "mark.csv": (b"\xef\xbb\xbf", "has no rows"),
    "header.csv": (b"text,label\n", "has no rows"),
    "header.json": (b"[]", "has no rows"),
    "short.csv": (b"text,label\na,1\nb\n", "line 3: expected 2 fields as in the header, found 1"),
    "long.tsv": (b"text\tlabel\na\t1\nb\t2\t3\n", "line 3: expected 2 fields as in the header, found 3"),
    "open.csv": (b'text,label\n"a,1\nb\n', "line 2: unexpected end of data"),
    "half.jsonl": (b'{"text": "a"}\n{"text": \n', "line 2: not valid JSON"),
    "lists.jsonl": (b'{"text": "a"}\n[1]\n', "line 2: expected an object"),
    "value.json": (b'["a"]', "row 1: expected an object"),
    "broken.json": (b'[{"a": 1},\n{]', "line 2: not valid JSON"),
    "deep.jsonl": (b"[" * 100_000, "nested too deeply"),
    "not.parquet": (b"PAR1 is not enough", "is not a readable Parquet file"),
    "sheet.csv": (b"PK\x03\x04....", "zip archive or a spreadsheet"),
    "cut.csv.gz": (gzip.compress(b"text,label\n" * 99)[:-9], "gzip data are damaged"),
    "image.csv": (b"\x89PNG\r\n\x1a\n" + bytes(range(128, 256)) * 9, "is not utf-8 text"),
    "wide.csv": ("text,label\na,1\n".encode("utf-16-le"), "is not utf-8 text"),
    "table.xlsx": (b"anything", "not a known kind of table"),
    "noend": (b"anything", "not a known kind of table"),
}


@pytest.mark.parametrize("name", BAD_FILES)
def test_bad_files_end_in_one_sentence_that_names_the_file(tmp_path, name):
    content, words = BAD_FILES[name]
    (tmp_path / name).write_bytes(content)
    with pytest.raises(StreamError) as error:
        read_table(tmp_path / name)
    message = str(error.value)
    assert words in message
    assert name in message
    assert "\n" not in message


def test_a_missing_file_suggests_its_neighbour(write):
    path = write("reviews.csv", "text\nx\n")
    with pytest.raises(StreamError, match=r"did you mean 'reviews.csv'\?"):
        read_table(path.with_name("review.csv"))
    with pytest.raises(StreamError, match="is missing or empty"):
        read_table(path.parent / "none" / "x.csv")
    with pytest.raises(StreamError, match="unknown file 'folder-of-a-release'"):
        read_table(path.with_name("folder-of-a-release"))  # its ending says nothing, since there is no such thing


def test_a_folder_is_no_file(tmp_path):
    (tmp_path / "t.csv").mkdir()
    with pytest.raises(StreamError, match="expected a file, found a folder"):
        read_table(tmp_path / "t.csv")


def test_columns_are_asked_for_by_name(write):
    table = read_table(write("t.csv", "body,label,x,x\na,1,2,3\n"))
    with pytest.raises(
        StreamError, match=r"unknown column 'boddy' \(did you mean 'body'\?\); choose one of body, label"
    ):
        table.column("boddy")
    with pytest.raises(StreamError, match="more than one column 'x'"):
        table.column("x")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (FileOptions(encoding="utf-9"), "no known encoding"),
        (FileOptions(delimiter="::"), "a single character"),
        (FileOptions(delimiter=""), None),
    ],
)
def test_bad_options(write, options, words):
    path = write("t.csv", "text,label\na,1\n")
    if words is None:
        assert read_table(path, options).columns == ("text", "label")
    else:
        with pytest.raises(StreamError, match=words):
            read_table(path, options)


def test_suffixes(tmp_path):
    assert table_suffix(tmp_path / "a.TSV.GZ") == ".tsv"
    assert table_suffix(tmp_path / "a.v1.jsonl") == ".jsonl"
    assert table_suffix(tmp_path / "a.gz") is None

"""Domains of plain text: which files make which domain, what one text is, and what is refused."""

import pytest

from streams.catalog import build_source, build_stream
from streams.errors import StreamError
from streams.texts import plain_table


def lines(name, number=40):
    return "".join(f"{name} says {count}\n" for count in range(number))


def texts_of(task):
    return [row for split in ("train", "dev", "test") for row in task.split(split)["text"][:]]


def test_a_file_or_a_folder_makes_a_domain(write, write_jsonl):
    write("d/news.txt", lines("news"))
    write("d/law.txt.gz", lines("law"))
    write_jsonl("d/tweets/a.jsonl", [{"text": f"tweet {count}", "label": 1} for count in range(30)])
    write("d/tweets/b.txt", lines("more", 10))
    write("d/tweets/.hidden.txt", "no")
    write("d/readme.md", "no domain")
    write("d/empty/x.md", "")
    folder = write("d/z.csv", "text,n\nlast one,1\nlast two,2\nlast 3,3\n").parent
    source = build_source({"kind": "texts", "path": str(folder)})
    assert source.task_names == ["law", "news", "tweets", "z"]
    tweets = source.load("tweets")
    assert sorted(texts_of(tweets)) == sorted(
        [f"tweet {count}" for count in range(30)] + lines("more", 10).splitlines()
    )
    assert (tweets.kind, tweets.labels, tweets.metric) == ("text", (), "perplexity")
    assert tweets.train.column_names == ["text"]


def test_given_splits_are_kept_and_missing_ones_made(write):
    write("d/news/train.txt", lines("news"))
    write("d/news/validation.txt", lines("held", 5))
    write("d/news/notes.txt", "of no split\n")
    task = build_stream({"kind": "texts", "path": str(write("d/x.txt", "a\nb\nc\n").parent)}).task("news")
    assert task.dev["text"][:] == lines("held", 5).splitlines()
    assert len(task.test) == 10
    assert "of no split" not in texts_of(task)
    assert task.info["splits"]["given"] == ["train", "dev"]


def test_one_file_is_one_domain(write):
    source = build_source({"kind": "texts", "path": str(write("poems.txt", lines("a rose")))})
    assert source.task_names == ["poems"]


@pytest.mark.parametrize(
    ("unit", "expected"),
    [("line", ["one", "two", "three"]), ("paragraph", ["one two", "three"]), ("file", ["one\n two \n\n\nthree\n"])],
)
def test_what_one_text_is(unit, expected):
    table = plain_table("a.txt", "one\n two \n\n\nthree\n", unit, "text", {})
    assert table.column("text") == expected


def test_paragraphs_are_found_by_the_line_where_they_begin():
    assert list(plain_table("a.txt", "\none\ntwo\n\nthree\n", "paragraph", "text", {}).lines) == [2, 5]


def test_rows_of_tables_may_be_chosen(write_jsonl):
    rows = [{"body": f"text {count}", "lang": "en" if count % 2 else "de"} for count in range(40)]
    folder = write_jsonl("d/a.jsonl", rows).parent
    task = build_stream({"kind": "texts", "path": str(folder), "text": "body", "where": {"lang": "en"}}).task("a")
    assert len(texts_of(task)) == 20
    assert task.info["reading"]["rows_filtered_out"] == 20


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("d/a.md", "x", "Found no text in"),
        ("d/a.txt", " \n\n", "is empty"),
        ("d/a.txt", "one\n", "has no text for dev"),
        ("d/a.jsonl", '{"label": 1}\n', "unknown column 'text'"),
        ("d/a.jsonl", '{"text": 3}\n', "expected text in the column 'text', found int"),
    ],
)
def test_what_is_no_text_is_refused(write, name, content, words):
    folder = write(name, content).parent
    with pytest.raises(StreamError, match=words):
        build_stream({"kind": "texts", "path": str(folder)}).task("a")


def test_a_domain_that_is_there_twice_is_refused(write):
    write("d/news.txt", lines("news"))
    with pytest.raises(StreamError, match=r"'news' twice, as news\.txt too"):
        build_stream({"kind": "texts", "path": str(write("d/news.csv", "text\na\n").parent)})


def test_a_missing_place_is_refused(tmp_path):
    with pytest.raises(StreamError, match="expected text at"):
        build_stream({"kind": "texts", "path": str(tmp_path / "nowhere")})
    with pytest.raises(StreamError, match="set its key 'path'"):
        build_stream({"kind": "texts"})

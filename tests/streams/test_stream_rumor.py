"""Rumour releases in the layouts they were published in, on small trees made here."""

from collections import Counter

import pytest
from stream_files import CLASSES, write_coaid, write_pheme, write_thread, write_twitter

from streams.errors import StreamError
from streams.rumor import CoaidSource, PhemeSource, TweetOptions, TwitterSource


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, "RT : police & crowd at me@mail.com now"),
        ({"remove_urls": False}, "RT : police & crowd at me@mail.com now https://t.co/aB URL"),
        ({"remove_mentions": False}, "RT @abc_1: police & crowd at me@mail.com now"),
    ],
)
def test_tweets_are_cleaned(options, expected):
    tweet = "RT @abc_1: police &amp; crowd\n at me@mail.com now https://t.co/aB URL"
    assert TweetOptions(**options)._clean(tweet) == expected


# PHEME.


LAYOUTS = {
    "2018": ("-all-rnr-threads", "source-tweets"),
    "2016": ("", "source-tweet"),
}


@pytest.mark.parametrize("above", [False, True])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_published_folders_of_pheme(tmp_path, layout, above):
    write_pheme(tmp_path / "all-rnr-annotated-threads", *LAYOUTS[layout])
    source = PhemeSource(path=str(tmp_path if above else tmp_path / "all-rnr-annotated-threads"))
    assert source.task_names == ["alpha", "beta"]
    task = source.load("alpha")
    assert task.labels == ("non-rumour", "rumour")
    rows = [example for split in ("train", "dev", "test") for example in task.examples(split)]
    assert Counter(example.label for example in rows) == {"rumour": 10, "non-rumour": 10}
    assert {example.text for example in rows if example.label == "rumour"} == {f"alpha rumours {n}" for n in range(10)}
    assert [len(task.split(split)) for split in ("train", "dev", "test")] == [12, 2, 6]


def test_the_table_and_the_folders_of_pheme_make_the_same_tasks(tmp_path, write):
    write_pheme(tmp_path / "tree")
    folders = PhemeSource(path=str(tmp_path / "tree"))
    lines = [
        f'{event}\t{int(folder == "rumours")}\t"{event} {folder} {number}"'
        for event in ("alpha", "beta")
        for folder in ("rumours", "non-rumours")
        for number in range(10)
    ]
    table = PhemeSource(path=str(write("pheme.tsv.gz", "event\trumour\ttext\r\n" + "\r\n".join(lines))))
    for name in ("alpha", "beta"):
        for split in ("train", "dev", "test"):
            assert folders.load(name).split(split).to_list() == table.load(name).split(split).to_list()


def test_an_event_with_one_class_can_be_left_out(tmp_path):
    write_pheme(tmp_path)
    write_thread(tmp_path, "gamma-all-rnr-threads", "rumours", "1", "only this")
    assert PhemeSource(path=str(tmp_path)).task_names == ["alpha", "beta", "gamma"]
    assert PhemeSource(path=str(tmp_path), tasks=("beta",)).load("beta").name == "beta"
    with pytest.raises(StreamError, match="'gamma'"):
        PhemeSource(path=str(tmp_path)).load("gamma")


def test_bad_pheme_folders(tmp_path):
    with pytest.raises(StreamError, match="holds no event with the folders rumours and non-rumours"):
        PhemeSource(path=str(tmp_path)).task_names  # noqa: B018
    (tmp_path / "alpha" / "rumours").mkdir(parents=True)
    with pytest.raises(StreamError, match="no thread in any"):
        PhemeSource(path=str(tmp_path)).task_names  # noqa: B018
    (tmp_path / "alpha" / "rumours" / "17").mkdir()
    with pytest.raises(StreamError, match=r"lacks its source tweet; expected the file .*source-tweets/17.json"):
        PhemeSource(path=str(tmp_path)).task_names  # noqa: B018
    broken = tmp_path / "alpha" / "rumours" / "17" / "source-tweet" / "17.json"
    broken.parent.mkdir()
    for content in ("{", "{}", "[]", "7"):
        broken.write_text(content)
        with pytest.raises(StreamError, match="not a tweet in JSON with a text"):
            PhemeSource(path=str(tmp_path)).task_names  # noqa: B018


# Twitter15 and Twitter16.


def test_the_published_files_of_twitter15(write):
    root = write_twitter(write, "twitter15").parent.parent
    write_twitter(write, "twitter16")
    source = TwitterSource(path=str(root))
    assert source.task_names == ["twitter15", "twitter16"]
    task = source.load("twitter15")
    assert task.labels == CLASSES
    rows = [example for split in ("train", "dev", "test") for example in task.examples(split)]
    assert {example.text: example.label for example in rows} == {
        f'twitter15 "tweet {n} URL': CLASSES[n % 4] for n in range(40)
    }
    assert task.info["reading"] == {"rows_without_label": 1}
    assert 'twitter15 "tweet' in TwitterSource(path=str(root), remove_urls=True).load("twitter15").train["text"][0]


def test_twitter_as_tables(write_jsonl):
    for split in ("train", "dev", "test"):
        content = [{"text": f"{split} {n}", "label": CLASSES[n % 4], "id": str(n)} for n in range(8)]
        path = write_jsonl(f"twitter16/{split}.jsonl.gz", content)
    task = TwitterSource(path=str(path.parent.parent)).load("twitter16")
    assert task.labels == CLASSES
    assert len(task.test) == 8


def test_bad_twitter_files(write):
    path = write_twitter(write, "twitter15")
    root = str(path.parent.parent)
    path.with_name("label.txt").write_text("true:1\nfalse 2\n")
    with pytest.raises(StreamError, match=r"label.txt, line 2: expected a label, a colon and a tweet id"):
        TwitterSource(path=root).load("twitter15")
    path.with_name("label.txt").write_text("true:1\nhoax:2\n")
    with pytest.raises(StreamError, match=r"source_tweets.txt, line 3: unknown label 'hoax'"):
        TwitterSource(path=root).load("twitter15")
    path.with_name("label.txt").unlink()
    with pytest.raises(StreamError, match=r"Could not read .*label.txt"):
        TwitterSource(path=root).load("twitter15")
    write_twitter(write, "twitter15")
    path.write_text("1 no tab\n")
    with pytest.raises(StreamError, match=r"line 1: expected a tweet id, a tab and the text"):
        TwitterSource(path=root).load("twitter15")


# CoAID.


def test_the_published_folders_of_coaid(write):
    source = CoaidSource(path=write_coaid(write))
    assert source.task_names == ["05-01-2020", "07-01-2020"]
    task = source.load("05-01-2020")
    assert task.labels == ("real", "fake")
    rows = [example for split in ("train", "dev", "test") for example in task.examples(split)]
    assert Counter(example.label for example in rows) == {"fake": 16, "real": 12}
    assert '05-01-2020 "Fake" news, 3' in {example.text for example in rows}
    assert len(task.info["files"]) == 5


def test_documents_choose_news_or_claims(write):
    source = CoaidSource(path=write_coaid(write), documents=("news",))
    task = source.load("05-01-2020")
    assert sum(len(task.split(split)) for split in ("train", "dev", "test")) == 24


def test_coaid_as_one_table(write):
    content = "slice\tkind\ttext\tlabel\n" + "".join(
        f'{date}\tnews\t"quoted" {date} {label} {n}\t{label}\n'
        for date in ("late", "soon")
        for label in ("fake", "real")
        for n in range(10)
    )
    source = CoaidSource(path=str(write("coaid.tsv", content)))
    assert source.task_names == ["late", "soon"]
    assert source.load("soon").train["text"][0].startswith('"quoted" soon fake')
    with pytest.raises(StreamError, match="holds no text of the kind claim"):
        CoaidSource(path=str(write("coaid.tsv", content)), documents=("claim",)).task_names  # noqa: B018


def test_a_folder_without_coaid(tmp_path):
    with pytest.raises(StreamError, match="holds no folder with NewsFakeCOVID-19"):
        CoaidSource(path=str(tmp_path)).task_names  # noqa: B018

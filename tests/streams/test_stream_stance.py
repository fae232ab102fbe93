"""Stance streams: the files of SemEval-2016 Task 6 as they were published, and the simulated targets at odds."""

from collections import Counter

import pytest
from stream_files import STANCE_HEADER, TARGETS, stance_lines, write_stance

from streams.errors import StreamError
from streams.splits import text_key
from streams.stance import STANCES, StanceSource, task_name
from streams.stance_simulated import SimulatedStanceSource
from streams.stance_words import CLOSERS, ISSUES, OPENERS
from streams.task import SPLITS


def rows_of(task):
    return [example for split in SPLITS for example in task.examples(split)]


def test_the_published_files_make_one_task_for_each_target(write):
    source = StanceSource(path=str(write_stance(write)))
    assert source.task_names == ["wind-power", "night-trains"]
    task = source.load("night-trains")
    assert task.labels == STANCES == ("favor", "against", "none")
    assert task.metric == "stance_f1"
    assert {row.text_pair for row in rows_of(task)} == {"Night Trains"}
    # 6 trial and 30 training tweets, of which 10 % become dev; 9 gold test tweets, all kept.
    assert [len(task.split(split)) for split in SPLITS] == [33, 3, 9]
    assert Counter(row.label for row in task.examples("test")) == {"favor": 3, "against": 3, "none": 3}
    assert task.info["reading"]["repeated_tweets"] == 18
    assert len(task.info["files"]) == 4


@pytest.mark.parametrize(
    ("remove", "expected"), [(True, "So true & well #not."), (False, "So true & well #SemST #not.")]
)
def test_the_marker_is_taken_out(write, remove, expected):
    lines = stance_lines().replace("Tweet 1 on Wind #SemST", "So true  &amp; well #SemST #not.")
    source = StanceSource(path=str(write("tweets.txt", lines)), remove_marker=remove)
    texts = [row.text for row in rows_of(source.load("wind-power"))]
    assert expected in texts
    assert any("#SemST" in text for text in texts) is not remove


@pytest.mark.parametrize("encoding", ["windows-1252", "latin-1", "utf-8", "utf-8-sig", "utf-16"])
def test_encodings_are_found_out(write, encoding):
    text = stance_lines().replace("Tweet 1 ", "Café 1 ")
    if encoding == "windows-1252":
        text = text.replace("Tweet 2 ", "“Quoted” 2 ")
    task = StanceSource(path=str(write("tweets.txt", text.encode(encoding)))).load("wind-power")
    texts = {row.text for row in rows_of(task)}
    assert "Café 1 on Wind" in texts
    assert ("“Quoted” 2 on Wind" in texts) is (encoding == "windows-1252")


@pytest.mark.parametrize("end", ["\n", "\r", "\r\n", "\r\r\n"])
def test_every_kind_of_line_end(write, end):
    path = write("tweets.tsv.gz", stance_lines().replace("\r\n", end))
    task = StanceSource(path=str(path)).load("wind-power")
    assert len(rows_of(task)) == 20
    assert {row.label for row in rows_of(task)} == set(STANCES)


def test_a_tweet_with_a_carriage_return_and_quotes_stays_one_row(write):
    text = stance_lines().replace("Tweet 3 on", 'Tweet "3\r on').replace("Tweet 4 on", "Tweet 4\r\non")
    task = StanceSource(path=str(write("tweets.txt", text))).load("wind-power")
    texts = {row.text for row in rows_of(task)}
    assert {'Tweet "3 on Wind', "Tweet 4 on Wind"} <= texts
    assert len(rows_of(task)) == 20
    assert task.info["reading"]["broken_lines_joined"] == 4  # two tweets of each target


def test_further_columns_and_spellings(write):
    text = stance_lines().replace("FAVOR", "Favour").replace("NONE", "none").replace("\r\n", "\tOTHER\tPOSITIVE\r\n")
    text = text.replace(f"{STANCE_HEADER}\tOTHER\tPOSITIVE", f"{STANCE_HEADER}\tOpinion towards\tSentiment")
    task = StanceSource(path=str(write("tweets.txt", text))).load("wind-power")
    assert Counter(row.label for row in rows_of(task)) == {"favor": 7, "against": 7, "none": 6}


def test_csv_with_other_columns_and_labels(write):
    rows = [f'"{target}, please",text {n} on {target},{n % 3}' for target in TARGETS for n in range(20)]
    path = write("own.csv", "\n".join(["about,body,stance", *rows]))
    names = {"0": "against", "1": "favor", "2": "none"}
    source = StanceSource(path=str(path), text="body", target="about", label="stance", labels=names)
    assert source.task_names == ["wind-power-please", "night-trains-please"]
    task = source.load("wind-power-please")
    assert task.labels == STANCES
    assert {(row.text, row.label) for row in rows_of(task)} >= {("text 0 on Wind Power", "against")}


def test_a_target_that_is_only_tested_is_no_task_but_its_file_is(write):
    folder = write_stance(write)
    gold = write("release/SemEval2016-Task6-subtaskB-testdata-gold.txt", stance_lines(20, 500).replace("Wind", "Tidal"))
    source = StanceSource(path=str(folder))
    assert source.task_names == ["wind-power", "night-trains"]
    assert source.load("wind-power").info["targets_without_training_texts"] == ["tidal-power"]
    assert len(rows_of(StanceSource(path=str(gold)).load("tidal-power"))) == 20


def test_copies_of_a_tweet_count_once(write):
    text = stance_lines()
    path = write("tweets.txt", text + "\r\n".join(text.split("\r\n")[1:]))
    task = StanceSource(path=str(path)).load("wind-power")
    assert len(rows_of(task)) == 20
    assert task.info["reading"]["repeated_tweets"] == 40


@pytest.mark.parametrize("word", ["?", "UNKNOWN", ""])
def test_rows_without_a_stance_are_refused_or_skipped(write, word):
    row = f"77\tWind Power\tNobody knows #SemST\t{word}\r\n"
    path = write("tweets.txt", stance_lines() + row)
    with pytest.raises(StreamError, match=r"tweets.txt, line 42: the row has no stance.*-gold.txt.*unlabelled=skip"):
        StanceSource(path=str(path)).load("wind-power")
    task = StanceSource(path=str(path), unlabelled="skip").load("wind-power")
    assert len(rows_of(task)) == 20
    assert task.info["reading"]["rows_without_stance"] == 1


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (stance_lines().replace("AGAINST", "AGIANST"), r"line 3: unknown label 'AGIANST' \(did you mean 'against'\?\)"),
        (stance_lines().replace("Tweet\tStance", "Text\tStance"), r"unknown column 'Tweet' \(did you mean 'Text'\?\)"),
        (stance_lines() + "9\tWind Power\tno stance", r"line 42: expected 4 fields between tabs .*, found 3; repair"),
        (stance_lines() + "9\ta\tb\tc\td", "line 42: expected 4 fields .* found 5"),
        (STANCE_HEADER, "has no rows"),
        (b"", "is empty"),
    ],
)
def test_bad_files_end_in_one_sentence(write, text, words):
    with pytest.raises(StreamError, match=words):
        StanceSource(path=str(write("tweets.txt", text))).task_names  # noqa: B018


def test_a_folder_without_training_files_is_refused(write):
    folder = write("empty/testdata-gold.txt", stance_lines()).parent
    with pytest.raises(StreamError, match="holds no file with train in its name"):
        StanceSource(path=str(folder)).task_names  # noqa: B018


# Simulated.


def statement(text):
    """An opinion or a remark without opener and closer."""
    for closer in sorted(CLOSERS, key=len, reverse=True):
        if closer and text.endswith(closer):
            text = text.removesuffix(closer)
            break
    text = text.removesuffix(".")
    for opener in OPENERS:
        if opener and text.startswith(opener):
            text = text.removeprefix(opener)
    return text[0].lower() + text[1:]


def test_the_same_opinion_bears_opposite_labels_for_targets_at_odds():
    source = SimulatedStanceSource(train=300)
    opposite = {"favor": "against", "against": "favor"}
    for issue in ISSUES.values():
        first, second = (
            {statement(row.text): row.label for row in rows_of(source.load(task_name(target)))}
            for target in issue.targets
        )
        shared = {key for key in first if first[key] != "none"}
        assert len(shared) == 16  # every opinion of the issue occurs
        assert shared == {key for key in second if second[key] != "none"}
        assert all(second[key] == opposite[first[key]] for key in shared)
    # And elsewhere it says nothing: the same opinion is "none" for a target of another issue.
    other = {statement(row.text): row.label for row in rows_of(source.load("coal-power"))}
    streets = {opinion for side in ISSUES["streets"].opinions for opinion in side}
    assert {other[key] for key in streets & set(other)} == {"none"}


def test_no_opinion_stands_twice_and_none_names_a_target():
    opinions = [text for issue in ISSUES.values() for side in issue.opinions for text in side]
    remarks = [text for issue in ISSUES.values() for text in issue.remarks]
    assert len({text_key(text) for text in opinions + remarks}) == len(opinions) + len(remarks)
    for issue in ISSUES.values():
        assert [len(side) for side in issue.opinions] == [8, 8]
        for target in issue.targets:
            assert not [text for text in opinions if target.lower() in text.lower()]


def test_shares_of_the_stances():
    task = SimulatedStanceSource(train=100, none=0.2, favor=0.75).load("wind-turbines")
    assert Counter(row.label for row in task.examples("train")) == {"favor": 60, "against": 20, "none": 20}
    assert task.info["truth"] == {"target": "Wind turbines", "issue": "power", "side": 0}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"tasks": ("coal",)}, r"unknown task 'coal'"),
        ({"tasks": ()}, "lists no task"),
        ({"tasks": ("coal-power", "coal-power")}, "or one twice"),
        ({"none": 1.0}, "none=1.0; choose a value from"),
        ({"dev": 2}, "dev=2; choose a value from 3"),
    ],
)
def test_bad_simulations_are_refused(changes, words):
    with pytest.raises(StreamError, match=words):
        SimulatedStanceSource(**changes)


def test_too_many_texts_are_refused():
    with pytest.raises(StreamError, match="more texts with the stance 'favor'"):
        SimulatedStanceSource(train=3000).load("coal-power")

"""Streams of translation domains: layouts, columns, splits that part no sentence, and what is refused."""

import gc
import json
import re
import tracemalloc
from collections import Counter

import pytest
from datasets import Dataset, DatasetDict
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.catalog import build_source, build_stream
from streams.errors import StreamError
from streams.splits import linked_rows, text_key
from streams.task import SPLITS, Example
from streams.translation_pairs import Pair, complete_pairs

FRACTIONS = {"dev": 0.1, "test": 0.25}
LAW = [(f"Article {n} applies", f"Artikel {n} gilt") for n in range(40)]
GAME = [(f"Attack unit {n}", f"Greift Einheit {n} an") for n in range(40)]


def tsv(pairs, header="en\tde\n"):
    return header + "".join(f"{source}\t{target}\n" for source, target in pairs)


def lines(pairs, side):
    return "".join(f"{pair[side]}\n" for pair in pairs)


def tmx(pairs, domain=None):
    prop = f'<prop type="domain">{domain}</prop>' if domain else ""
    units = "".join(
        f'<tu>{prop}<tuv xml:lang="en-GB"><seg>{source}</seg></tuv><tuv xml:lang="de"><seg>{target}</seg></tuv></tu>\n'
        for source, target in pairs
    )
    return f"<tmx version='1.4'><body>{units}</body></tmx>"


def source(path, kind="translation", **options):
    return build_source({"kind": kind, "path": str(path), **options})


def pairs_of(task, split="train"):
    return list(zip(task.split(split)["text"], task.split(split)["target"], strict=True))


def everything(task):
    return sorted(pair for split in SPLITS for pair in pairs_of(task, split))


def write_as(write, form, stem, pairs):
    """A corpus in one of the forms; returns the folder it is in."""
    if form == "moses":
        write(f"{stem}.en", lines(pairs, 0))
        return write(f"{stem}.de.gz", lines(pairs, 1)).parent
    content = tmx(pairs) if form.startswith("tmx") else tsv(pairs)
    return write(f"{stem}.{form}", content).parent


FORMS = ("tsv", "tsv.gz", "moses", "tmx", "tmx.gz")


@pytest.mark.parametrize("form", FORMS)
def test_a_folder_for_each_domain_with_given_splits(write, form):
    for domain, pairs in (("law", LAW), ("game", GAME)):
        for split, part in (("train", pairs[:20]), ("validation", pairs[20:25]), ("test", pairs[25:])):
            folder = write_as(write, form, f"mt/{domain}/{split}", part)
    write("mt/README.md", "about")
    write("mt/empty/notes.txt", "nothing")
    found = source(folder.parent)
    assert found.task_names == ["game", "law"]
    task = found.load("law")
    assert (pairs_of(task), pairs_of(task, "dev"), pairs_of(task, "test")) == (LAW[:20], LAW[20:25], LAW[25:])
    assert (task.kind, task.labels, task.metric) == ("translation", (), "bleu")
    assert next(task.examples()) == Example("Article 0 applies", None, None, "Artikel 0 gilt")
    assert task.info["splits"] == {"given": ["train", "dev", "test"], "made": {}}
    assert (task.info["source"], task.info["source_language"], task.info["target_language"]) == (
        "translation",
        "en",
        "de",
    )
    assert len(task.info["files"]) == (6 if form == "moses" else 3)
    json.dumps(task.info)


@pytest.mark.parametrize("form", FORMS)
def test_a_file_for_each_domain(write, form):
    write_as(write, form, "mt/law", LAW)
    found = source(write_as(write, form, "mt/game", GAME))
    assert found.task_names == ["game", "law"]
    assert everything(found.load("game")) == sorted(GAME)
    assert found.load("game").info["splits"] == {"given": ["train"], "made": {"dev": 0.1, "test": 0.25}, "seed": 0}


@pytest.mark.parametrize("form", FORMS)
def test_one_corpus_is_one_domain(write, form):
    folder = write_as(write, form, "mt/law", LAW)
    write("mt/game.en", "half a pair")
    paths = ["law"] if form != "moses" else ["law", "law.en", "law.de.gz"]
    for name in paths + ([f"law.{form}"] if form != "moses" else []):
        found = source(folder / name)
        assert found.task_names == ["law"]
        assert everything(found.load("law")) == sorted(LAW)


def test_a_folder_with_train_itself_is_one_domain(write):
    folder = write("law/train.tsv", tsv(LAW)).parent
    assert source(folder).task_names == ["law"]


def test_the_direction_turns_pairs_round(write):
    path = write("law.tsv", tsv(LAW))
    task = source(path, direction="de-en").load("law")
    assert everything(task) == sorted((target, source_) for source_, target in LAW)
    assert (task.info["direction"], task.info["source_language"]) == ("de-en", "de")


def test_opus_names_lose_their_languages(write):
    write("opus/Books.de-en.en", lines(LAW, 0))
    write("opus/Books.de-en.de", lines(LAW, 1))
    write("opus/News.en-de.tmx", tmx(GAME))
    path = write("opus/Books.de-en.ids", "x")
    assert source(path.parent).task_names == ["Books", "News"]


@pytest.mark.parametrize(
    ("content", "options"),
    [
        (tsv(LAW, ""), {"header": ["en", "de"]}),
        (tsv(LAW, "German\tEnglish\n"), {"columns": {"en": "German", "de": "English"}}),
        (tsv(LAW, "en-US\tde_DE\n"), {}),
        (tsv(LAW, ""), {"header": ["a", "b"], "columns": {"de": "b", "en": "a"}}),
    ],
)
def test_columns_are_found_by_language_or_named(write, content, options):
    assert everything(source(write("law.tsv", content), **options).load("law")) == sorted(LAW)


def test_line_breaks_in_a_sentence_become_spaces_and_others_stay(write):
    rows = [{"en": f" a\u2028b \r\n  c{n}", "de": f"x\u00a0y \t z{n}"} for n in range(9)]
    path = write("t.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    assert everything(source(path).load("t"))[0] == ("a b c0", "x\u00a0y z0")


def test_quotes_are_kept_where_they_are_told_to_be_literal(write):
    pairs = [(f'"{n}" yes', f'"{n} ja"') for n in range(9)]
    path = write("q.tsv", tsv(pairs))
    assert everything(source(path, quoting="literal").load("q")) == sorted(pairs)


def domain_table(write, name="pairs.tsv"):
    rows = [*((s, t, "law") for s, t in LAW), *((s, t, "game") for s, t in GAME)]
    return write(name, "en\tde\tsubject\n" + "".join("\t".join(row) + "\n" for row in rows))


def test_a_domain_column_makes_the_tasks(write):
    found = source(domain_table(write), "translation_table", domain="subject", tasks=["game"])
    assert found.task_names == ["game"]
    assert everything(found.load("game")) == sorted(GAME)
    one = source(domain_table(write), "translation_table", name="all")
    assert len(everything(one.load("all"))) == 80


def test_a_property_of_a_translation_memory_names_the_domain(write):
    body = tmx(LAW, "law").split("</body>")[0] + tmx(GAME, "game").split("<body>")[1]
    found = source(write("memory.tmx", body), "translation_table", domain="domain")
    assert found.task_names == ["law", "game"]
    assert everything(found.load("law")) == sorted(LAW)


def test_choosing_domains_of_a_table_changes_no_split(write):
    path = domain_table(write)
    whole = source(path, "translation_table", domain="subject").load("law")
    alone = source(path, "translation_table", domain="subject", tasks=["law"]).load("law")
    assert all(pairs_of(whole, split) == pairs_of(alone, split) for split in SPLITS)


def test_rows_are_chosen_by_the_value_of_a_column(write):
    found = source(domain_table(write), "translation_table", where={"subject": "law"}, name="some")
    task = found.load("some")
    assert everything(task) == sorted(LAW)
    assert task.info["reading"] == {"rows_filtered_out": 40}


def test_a_domain_of_which_the_filters_leave_nothing_is_refused_when_loaded(write):
    content = domain_table(write).read_text() + "".join(f"same {n}\tsame {n}\tcopies\n" for n in range(9))
    found = source(write("more.tsv", content), "translation_table", domain="subject")
    assert found.task_names == ["law", "game", "copies"]
    assert len(everything(found.load("law"))) == 40
    with pytest.raises(StreamError, match="Task 'copies' has no text for train"):
        found.load("copies")


def save(tmp_path, **splits):
    DatasetDict({name: Dataset.from_list(rows) for name, rows in splits.items()}).save_to_disk(tmp_path / "hub")
    return tmp_path / "hub"


@pytest.mark.parametrize("nested", [True, False])
def test_a_data_set_of_the_hub(tmp_path, nested):
    def rows(pairs, domain):
        sides = [{"en": source_, "de": target} for source_, target in pairs]
        return [{"id": 1, "kind": domain, **({"translation": side} if nested else side)} for side in sides]

    path = save(tmp_path, train=rows(LAW[:30], "law") + rows(GAME[:30], "game"), test=rows(LAW[30:], "law"))
    found = source(path, "translation_hub", domain="kind")
    assert found.task_names == ["law", "game"]
    task = found.load("law")
    assert pairs_of(task, "test") == LAW[30:]
    assert everything(task) == sorted(LAW)
    assert task.info["splits"]["made"] == {"dev": 0.1}
    assert task.info["files"] == [f"{path}[train]", f"{path}[test]"]


def test_a_test_split_without_references_is_made_anew(tmp_path):
    rows = [{"translation": {"en": source_, "de": target}} for source_, target in LAW]
    hidden = [{"translation": {"en": source_, "de": ""}} for source_, _ in GAME]
    task = source(save(tmp_path, train=rows, test=hidden), "translation_hub", name="law").load("law")
    assert task.info["splits"]["made"] == {"dev": 0.1, "test": 0.25}
    assert everything(task) == sorted(LAW)


def test_members_of_a_mapping_are_meant_before_columns_of_their_names(tmp_path):
    rows = [{"id": str(n), "translation": {"en": source_, "id": target}} for n, (source_, target) in enumerate(LAW)]
    path = save(tmp_path, train=rows)
    for options in (
        {},
        {"columns": {"id": "translation.id", "en": "en"}},
        {"where": {"id": [str(n) for n in range(40)]}},
    ):
        assert everything(
            source(path, "translation_hub", name="law", direction="en-id", **options).load("law")
        ) == sorted(LAW)
    numbered = source(path, "translation_hub", name="law", direction="en-id", columns={"id": "id"}).load("law")
    assert {target for _, target in everything(numbered)} == {str(n) for n in range(40)}


def test_a_language_that_two_mappings_have_has_to_be_named(tmp_path):
    rows = [{"raw": {"en": "x", "de": "y"}, "clean": {"en": source_, "de": target}} for source_, target in LAW]
    path = save(tmp_path, train=rows)
    with pytest.raises(
        StreamError, match=r"no column for the language 'en', but 'raw.en', 'raw.de', .*columns=\{en: NAME\}\.$"
    ):
        source(path, "translation_hub").task_names  # noqa: B018
    columns = {"en": "clean.en", "de": "clean.de"}
    assert everything(source(path, "translation_hub", name="law", columns=columns).load("law")) == sorted(LAW)


def test_a_test_split_without_a_column_of_references_is_made_anew(tmp_path):
    rows = [{"en": source_, "de": target} for source_, target in LAW]
    hidden = [{"en": source_} for source_, _ in GAME]
    path = save(tmp_path, train=rows, test=hidden)
    for columns in (None, {"de": "de"}):
        task = source(path, "translation_hub", name="law", columns=columns).load("law")
        assert task.info["splits"]["made"] == {"dev": 0.1, "test": 0.25}
        assert everything(task) == sorted(LAW)
    path = save(tmp_path / "other", train=rows, test=[{"number": 1}])
    with pytest.raises(StreamError, match=r"\[test\] has no column for the language 'en', but 'number'"):
        source(path, "translation_hub").task_names  # noqa: B018


def test_a_large_corpus_is_held_once(write):
    """Texts and pairs, but no keys as long as the texts, no pair that a filter drops, and no pickled copy."""
    pairs = [
        (f"the house number {n} stands on a hill", f"das Haus Nummer {n} steht auf einem Berg") for n in range(4000)
    ]
    path = write("large.tmx", tmx(pairs))
    source(path).load("large")  # all modules are there
    gc.collect()
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        source(path).load("large")
        assert tracemalloc.get_traced_memory()[1] - before < 800 * len(pairs)
    finally:
        tracemalloc.stop()


def test_filters_report_what_they_drop_by_domain(write):
    write("mt/law/test.tsv", tsv([("same", "same"), ("", "leer"), ("Article 0 applies", "Neu")]))
    path = write("mt/law/train.tsv", tsv([*LAW, LAW[3], ("OK", "ok"), ("", "x"), ("word " * 101, "Wort " * 101)]))
    task = source(path.parent.parent).load("law")
    assert {name: count for name, count in task.info["dropped"].items() if count} == {
        "empty": 2,
        "identical": 1,
        "too_long": 1,
        "duplicate": 1,
    }
    assert task.info["filters"]["max_words"] == 100
    assert pairs_of(task, "test") == [("same", "same"), ("Article 0 applies", "Neu")]
    assert task.info["splits"]["overlapping_rows_dropped"] == 1
    assert LAW[0] not in everything(task)


def test_caps_orders_and_places_work_as_for_any_stream(write):
    write("mt/law.tsv", tsv(LAW))
    config = {"kind": "translation", "path": str(write("mt/game.tsv", tsv(GAME)).parent), "order": ["law", "game"]}
    stream = build_stream({**config, "max_train": 5, "max_dev": 2, "max_test": 3}, seed=4)
    first = next(iter(stream))
    assert (first.name, len(first.train), len(first.dev), len(first.test)) == ("law", 5, 2, 3)
    assert first.info["caps"] == {"train": 5, "dev": 2, "test": 3, "seed": 4}
    stream.load_state_dict({**stream.state_dict(), "cursor": 1})
    (batch,) = stream.batches(10)
    assert [example.label for example in batch] == [None] * 5
    assert {example.target for example in batch} <= {target for _, target in GAME}


REFUSED = {
    "uneven halves": ({"a.en": "one\ntwo\n", "a.de": "eins\n"}, "a.en has 2 lines and a.de has 1"),
    "one half": ({"a.en": "one\n"}, "has no other half a.de beside it"),
    "two forms": ({"a.tsv": tsv(LAW), "a.tmx": tmx(LAW)}, "has a.tmx and a.tsv, all of them 'a'; keep one"),
    "two copies of a half": ({"a.en": "x\n", "a.en.gz": "x\n", "a.de": "y\n"}, "has a.de, a.en and a.en.gz"),
    "an empty half": ({"a.en": "one\n", "a.de": ""}, "a.de is empty"),
    "no language": (
        {"a.tsv": "en\tfr\nx\ty\n"},
        "no column for the language 'de', but 'en', 'fr'; name it with stream.columns",
    ),
    "no header": ({"a.tsv": tsv(LAW, "")}, r"with stream\.header=\[\.\.\.\] where the first line is a pair already"),
    "no column of a kind that has names": (
        {"a.jsonl": '{"en": "x", "fr": "y"}\n'},
        r"but 'en', 'fr'; name it with stream.columns=\{de: NAME\}\.$",
    ),
    "numbers": ({"a.jsonl": '{"en": 1, "de": "x"}\n'}, "expected text in the column 'en', found int"),
    "two trains": (
        {"train.tsv": tsv(LAW), "train.old.tsv": tsv(LAW)},
        "has both train.old.tsv and train.tsv for train",
    ),
    "nothing": ({"notes.txt": "x"}, "no parallel text for en-de in .*train.tmx or train.en and train.de"),
    "too few": ({"a.tsv": tsv(LAW[:2])}, "Task 'a' has no text for dev"),
    "a wrong width": ({"a.tsv": "en\tde\nx\ty\tz\n"}, "line 2: expected 2 fields as in the header, found 3"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_bad_folders_end_in_one_sentence(write, name):
    files, words = REFUSED[name]
    for file, content in files.items():
        folder = write(f"bad/{file}", content).parent
    found = source(folder)
    with pytest.raises(StreamError) as error:
        [found.load(task) for task in found.task_names]
    message = str(error.value)
    assert "\n" not in message
    assert re.search(words, message), message


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("law.text", "is no file of parallel text; use one ending in .csv, .tsv.*, .tmx, .en, .de or those with .gz"),
        ("lwa.tsv", r"Found no parallel text at .*lwa.tsv: .*did you mean 'law.tsv'"),
        ("nowhere/law", "is missing or empty; correct the path"),
    ],
)
def test_bad_paths(write, path, words):
    write("law.tsv", tsv(LAW))
    folder = write("law.text", "x").parent
    with pytest.raises(StreamError, match=words):
        source(folder / path).task_names  # noqa: B018


def test_bad_options():
    for options, words in (
        ({"direction": "ende"}, "Stream 'translation' has the direction 'ende'; expected two language codes"),
        ({"max_ratio": 0}, "has max_ratio=0"),
        ({"dirction": "en-de"}, "did you mean 'direction'"),
    ):
        with pytest.raises(StreamError, match=words):
            build_source({"kind": "translation", **options})
    with pytest.raises(StreamError, match="was given no data; set its key 'path'"):
        build_source({"kind": "translation"}).task_names  # noqa: B018


def test_a_wrong_type_of_property_is_answered_with_those_there_are(write):
    path = write("memory.tmx", tmx(LAW, "law"))
    with pytest.raises(
        StreamError, match=r"no translation unit has a property of type 'subject'.* the types domain; corr"
    ):
        source(path, "translation_table", domain="subject").task_names  # noqa: B018
    with pytest.raises(StreamError, match="of type 'subject'; units have none; correct the domain"):
        source(write("bare.tmx", tmx(LAW)), "translation_table", domain="subject").task_names  # noqa: B018


def test_norwegian_without_quotes_is_explained(write):
    hint = 'put the language "no" in quotes, which YAML else reads as false'
    path = write("a.tsv", tsv(LAW, "en\tx\n"))
    with pytest.raises(StreamError, match=hint):
        source(path, direction="en-no", columns={False: "x"})
    with pytest.raises(StreamError, match=hint):
        source(path, direction="en-no", header=["en", False]).load("a")


def made(rows):
    return [Pair(source_, target, domain, "f", n, source_, target) for n, (source_, target, domain) in enumerate(rows)]


def test_linked_rows_by_hand():
    assert linked_rows([], []) == []
    assert linked_rows(["a", "b", "c"], ["u", "v", "w"]) == [0, 1, 2]
    # Row 3 shares a source with row 0, row 4 a source with row 1 and a target with row 0: all four hang together.
    assert linked_rows(["a", "b", "c", "a", "b"], ["u", "v", "w", "x", "u"]) == [0, 0, 2, 0, 0]


keys = st.sampled_from("abcdefghijklmnop")
triples = st.lists(st.tuples(keys, keys, st.sampled_from(["x", "y"])), min_size=1, max_size=60)


@given(triples)
def test_linked_rows_are_the_connected_components(rows):
    groups = linked_rows([row[0] for row in rows], [row[1] for row in rows])
    assert all(group <= row and groups[group] == group for row, group in enumerate(groups))
    for side in (0, 1):
        by_key = {}
        assert all(by_key.setdefault(row[side], group) == group for row, group in zip(rows, groups, strict=True))
    # Nothing more than needed: within a group one gets from any row to any other.
    for group in set(groups):
        members = {row for row, other in enumerate(groups) if other == group}
        reached, edge = {group}, [group]
        while edge:
            at = rows[edge.pop()]
            new = {row for row in members - reached if rows[row][0] == at[0] or rows[row][1] == at[1]}
            reached |= new
            edge += new
        assert reached == members


@settings(max_examples=200)
@given(triples, st.integers(0, 3))
def test_made_splits_part_no_sentence_and_lose_no_pair(rows, seed):
    pairs = made(rows)
    splits, done = complete_pairs({"train": pairs}, FRACTIONS, seed)
    assert sorted(pair for part in splits.values() for pair in part) == sorted(pairs)
    for side in ("source_key", "target_key"):
        sets = [{getattr(pair, side) for pair in splits[split]} for split in SPLITS]
        assert sum(map(len, sets)) == len(set().union(*sets))
    assert done == {"given": ["train"], "made": FRACTIONS, "seed": seed}
    assert splits == complete_pairs({"train": pairs}, FRACTIONS, seed)[0]
    assert all(splits[split] == sorted(splits[split], key=lambda pair: pair.line) for split in SPLITS)


@given(triples, triples, triples)
def test_published_splits_stay_whole_and_train_gives_way(train, dev, test):
    given_ = {"train": made(train), "dev": made(dev), "test": made(test)}
    splits, done = complete_pairs(given_, FRACTIONS, 0)
    assert (splits["dev"], splits["test"]) == (given_["dev"], given_["test"])
    held = [*given_["dev"], *given_["test"]]
    sources, targets = {pair.source_key for pair in held}, {pair.target_key for pair in held}
    apart = [pair for pair in given_["train"] if pair.source_key not in sources and pair.target_key not in targets]
    assert splits["train"] == apart
    assert done.get("overlapping_rows_dropped", 0) == len(train) - len(apart)
    shared = sum(
        source_ in {row[0] for row in test} or target in {row[1] for row in test} for source_, target, _ in dev
    )
    assert done.get("dev_rows_shared_with_test", 0) == shared


def test_a_sentence_with_many_translations_stays_in_train():
    pairs = made([*(("yes", f"ja {n}", "d") for n in range(9)), *((f"s{n}", f"t{n}", "d") for n in range(40))])
    for seed in range(10):
        splits, _ = complete_pairs({"train": pairs}, FRACTIONS, seed)
        assert sum(pair.source == "yes" for pair in splits["train"]) == 9
        assert Counter(map(len, (splits["dev"], splits["test"]))) == {4: 1, 10: 1}


def test_a_seed_is_a_split_forever():
    rows = [*LAW[:10], ("Article 0 applies", "Artikel Null gilt"), ("Section 1", LAW[1][1])]
    pairs = made([(text_key(source_), text_key(target), "law") for source_, target in rows])
    splits, _ = complete_pairs({"train": pairs}, FRACTIONS, 0)
    assert {split: [pair.line for pair in part] for split, part in splits.items()} == {
        "train": [0, 1, 2, 4, 6, 8, 10, 11],  # 10 repeats the source of 0 and 11 the target of 1
        "dev": [5],
        "test": [3, 7, 9],
    }

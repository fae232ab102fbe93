"""Filters of sentence pairs: each on worked examples, their order, their counts, and what they must leave alone."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.errors import StreamError
from streams.splits import text_key
from streams.translation import TranslationFilesSource
from streams.translation_filters import Filter, FilterOptions, filtered, length_ratio
from streams.translation_languages import Direction, find_language, script_share
from streams.translation_pairs import Pair

EN_DE = Direction("en", "de")
NONE = FilterOptions(
    drop_identical=False,
    drop_duplicates=False,
    drop_broken=False,
    max_words=None,
    max_characters=None,
    max_ratio=None,
    min_script=None,
)


def pair(source, target, domain="d", line=1):
    return Pair(source, target, domain, "file", line, text_key(source), text_key(target))


def dropped_by(source, target, options=None, direction=EN_DE):
    """The filter that drops a pair of train, or None."""
    kept, dropped = filtered({"train": [pair(source, target)]}, options or FilterOptions(), direction)
    found = [name for name, count in dropped["d"].items() if count]
    assert len(found) == 1 - len(kept["train"])
    return found[0] if found else None


@pytest.mark.parametrize(
    ("source", "target", "expected"),
    [
        ("Good morning.", "Guten Morgen.", None),
        ("", "Guten Morgen.", "empty"),
        ("Good morning.", "", "empty"),
        ("for you", "fÃ¼r dich", "broken"),
        ("doesnâ€™t matter", "egal", "broken"),
        ("he said", "er sagte: \x94Ja", "broken"),
        ("a \ufffd b", "Zeichen", "broken"),
        ("Go on", "Spaß… »MENÜ« Âge NÃO", None),
        ("Wi-Fi!", "wi fi", "identical"),
        ("word " * 101, "Wort " * 99, "too_long"),
        ("word " * 100, "Wort " * 100, None),
        ("x" * 1001, "y" * 900, "too_long"),
        ("Menu", "Das ist ein Satz, der nicht zu seiner Quelle passen will.", "ratio"),
        ("Menu bar", "Menüleistenkonfiguration", None),
        ("I see.", "Я понимаю.", "script"),
        ("The letter я is the last", "Der Buchstabe я ist der letzte", None),
        ("100 %", "100,0 %", None),
    ],
)
def test_each_filter(source, target, expected):
    assert dropped_by(source, target) == expected


@pytest.mark.parametrize(
    ("off", "source", "target"),
    [
        ({"drop_identical": False}, "Wi-Fi", "Wi-Fi"),
        ({"drop_broken": False}, "for you", "fÃ¼r dich"),
        ({"max_words": None}, "word " * 101, "Wort " * 101),
        ({"max_characters": None}, "x" * 1001, "y" * 1001),
        ({"max_ratio": None}, "Menu", "Ein ganz und gar anderer und viel zu langer Satz"),
        ({"min_script": None}, "I see.", "Я понимаю."),
    ],
)
def test_each_filter_can_be_switched_off(off, source, target):
    assert dropped_by(source, target) is not None
    assert dropped_by(source, target, FilterOptions(**off)) is None


def test_a_ratio_by_hand():
    assert length_ratio("x" * 20, "y" * 80) == length_ratio("y" * 80, "x" * 20) == 3.0
    assert length_ratio("", "") == 1.0
    assert dropped_by("x" * 20, "y" * 80) is None
    assert dropped_by("x" * 20, "y" * 81) == "ratio"


def test_a_pair_counts_under_the_first_filter_that_drops_it():
    both = "\x01" + "x" * 2000
    assert dropped_by(both, both) == "broken"
    assert dropped_by("x" * 2000, "x" * 2000) == "identical"
    assert list(Filter) == ["empty", "broken", "identical", "too_long", "ratio", "script", "duplicate"]


def test_duplicates_are_pairs_repeated_within_a_domain_and_the_first_stays():
    pairs = [
        pair("Yes.", "Ja.", line=1),
        pair("yes", "JA!", line=2),
        pair("Yes.", "Jawohl.", line=3),
        pair("Yes.", "Ja.", "other", line=4),
    ]
    kept, dropped = filtered({"train": pairs}, FilterOptions(), EN_DE)
    assert [item.line for item in kept["train"]] == [1, 3, 4]
    assert (dropped["d"]["duplicate"], dropped["other"]["duplicate"]) == (1, 0)


def test_published_splits_lose_only_empty_sides_unless_asked():
    bad = [pair("same", "same"), pair("a", "b"), pair("a", "b"), pair("", "x")]
    given_ = {"train": bad, "dev": bad, "test": bad}
    kept, dropped = filtered(given_, FilterOptions(), EN_DE)
    assert [len(kept[split]) for split in given_] == [1, 3, 3]
    assert dropped["d"] | {"empty": 3, "identical": 1, "duplicate": 1} == dropped["d"]
    kept, dropped = filtered(given_, FilterOptions(filter_published=True), EN_DE)
    assert [len(kept[split]) for split in given_] == [1, 1, 1]
    assert (dropped["d"]["identical"], dropped["d"]["duplicate"]) == (3, 3)


def test_only_filters_in_effect_are_counted():
    _, dropped = filtered({"train": [pair("a", "b")]}, NONE, EN_DE)
    assert dropped == {"d": {"empty": 0}}
    assert FilterOptions().filter_settings()["max_ratio"] == 3.0


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"max_words": 0}, "Stream 's' has max_words=0; choose a value from 1"),
        ({"max_characters": -1}, "max_characters=-1"),
        ({"max_ratio": 0.5}, "max_ratio=0.5"),
        ({"min_script": 1.5}, "min_script=1.5"),
    ],
)
def test_impossible_limits_are_refused(options, words):
    with pytest.raises(StreamError, match=words):
        FilterOptions(**options).check_filters("stream 's'")


sides = st.text("aäя ?\x01Ãñ", max_size=30).map(str.strip)
rows = st.lists(st.tuples(sides, sides, st.sampled_from("xy")), max_size=30)
limits = st.builds(
    FilterOptions,
    drop_identical=st.booleans(),
    drop_duplicates=st.booleans(),
    drop_broken=st.booleans(),
    max_words=st.none() | st.integers(1, 5),
    max_characters=st.none() | st.integers(1, 20),
    max_ratio=st.none() | st.floats(1, 3),
    min_script=st.none() | st.floats(0, 1),
    filter_published=st.booleans(),
)


@given(rows, rows, limits)
def test_what_is_kept_and_what_is_dropped_is_everything_in_order(train, test, options):
    given_ = {"train": [pair(*row) for row in train], "test": [pair(*row) for row in test]}
    kept, dropped = filtered(given_, options, EN_DE)
    counted = sum(sum(counts.values()) for counts in dropped.values())
    assert counted + sum(map(len, kept.values())) == len(train) + len(test)
    for split, pairs in given_.items():
        numbers = {id(item): number for number, item in enumerate(pairs)}
        places = [numbers[id(item)] for item in kept[split]]
        assert places == sorted(set(places))
        assert all(item.source and item.target for item in kept[split])
    if not options.filter_published:
        assert len(kept["test"]) == sum(bool(source and target) for source, target, _ in test)
    assert filtered(kept, options, EN_DE)[0] == kept


@given(rows, limits)
def test_what_is_kept_obeys_every_limit(train, options):
    kept, _ = filtered({"train": [pair(*row) for row in train]}, options, EN_DE)
    for item in kept["train"]:
        assert options.max_characters is None or max(map(len, item[:2])) <= options.max_characters
        assert options.max_words is None or max(len(side.split()) for side in item[:2]) <= options.max_words
        assert options.max_ratio is None or length_ratio(*item[:2]) <= options.max_ratio
        assert not (options.drop_identical and item.source_key == item.target_key)
    if options.drop_duplicates:
        found = [(item.domain, item.source_key, item.target_key) for item in kept["train"]]
        assert len(set(found)) == len(found)


@pytest.mark.parametrize(
    ("text", "language", "share"),
    [
        ("Größe", "de_DE", 1.0),
        ("123 !", "de", 1.0),
        ("123 !", "ru", None),
        ("Привет Bob", "ru", 6 / 9),
        ("日本語です", "ja", 1.0),
        ("日本語です", "zh", 3 / 5),
        ("Γειά", "el", 1.0),
        ("x", "toy", None),
        ("aя", "en", 0.5),
        ("コーヒー", "ja", 1.0),
        ("ｴﾗｰ", "ja", 1.0),
        ("人々", "zh", 1.0),
        ("ＵＳＢメモリー", "ja", 4 / 7),
        ("Ｗｅｂ", "en", 1.0),
        ("ﾡ", "ko", 1.0),
        ("Ўзбек", "uz_Cyrl", 1.0),
        ("Ўзбек", "uz", 0.0),
        ("Srpski", "sr-Latn-RS", 1.0),
        ("Srpski", "sr", None),
        ("ᏣᎳᎩ", "chr_Cher", None),
    ],
)
def test_share_of_a_script(text, language, share):
    assert script_share(text, language) == share


@pytest.mark.parametrize(
    ("asked", "names", "found"),
    [
        ("de", ["en", "de"], "de"),
        ("de", ["en", "de-DE"], "de-DE"),
        ("de", ["de_CH", "DE"], "DE"),
        ("de-AT", ["de-DE", "de"], "de"),
        ("de-AT", ["de", "DE_at"], "DE_at"),
        ("de", ["den", "deutsch", "en"], None),
        ("de", ["de_translation"], None),
        ("zh", ["zh-Hant-TW"], "zh-Hant-TW"),
        ("es", ["es-419"], "es-419"),
    ],
)
def test_names_of_languages(asked, names, found):
    assert find_language(asked, names) == found


@pytest.mark.parametrize("text", ["en", "ende", "en-en", "en-EN", "english-german", "en-de-fr", "", "en-"])
def test_a_direction_is_two_languages(text):
    with pytest.raises(StreamError, match="expected two language codes such as en-de"):
        Direction.parse(text, "stream 's'")


def test_a_direction_reads_as_it_was_written():
    direction = Direction.parse("pt_BR-en", "stream 's'")
    assert (direction.source, direction.target, str(direction)) == ("pt_BR", "en", "pt_BR-en")


def test_a_domain_of_which_filters_leave_nothing_is_refused_with_their_counts(tmp_path):
    (tmp_path / "long.tsv").write_text("en\tde\n" + "".join(f"{'word ' * 9}{n}\t{'Wort ' * 9}{n}\n" for n in range(7)))
    source = TranslationFilesSource(path=str(tmp_path), max_words=5)
    with pytest.raises(StreamError, match=r"0 usable rows, since filters left out others \(too long: 7\); loosen"):
        source.load("long")


def test_columns_of_other_languages_are_refused():
    with pytest.raises(StreamError, match="'english', which is no language of the direction en-de"):
        TranslationFilesSource(path="corpora", columns={"english": "en", "de": "de"})
    assert TranslationFilesSource(path="corpora", columns={"en": "English", "de_AT": "Deutsch"}).columns

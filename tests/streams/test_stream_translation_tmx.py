"""Translation memories: what is read, what is left out, and files that are refused."""

import gzip
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.errors import StreamError
from streams.translation_languages import Direction
from streams.translation_tmx import read_tmx

DIRECTION = Direction("en", "de")
HEAD = (
    '<?xml version="1.0" encoding="UTF-8"?>\n<!DOCTYPE tmx SYSTEM "tmx14.dtd">\n'
    '<tmx version="1.4">\n<header/>\n<body>\n'
)
TAIL = "</body>\n</tmx>\n"


def variant(language, text, attribute="xml:lang"):
    return f'<tuv {attribute}="{language}"><seg>{text}</seg></tuv>'


def unit(*variants, before=""):
    return f"<tu>{before}{''.join(variants)}</tu>\n"


def memory(*units):
    return HEAD + "".join(units) + TAIL


def rows(table):
    return list(zip(*table.cells, strict=True))


HELLO = unit(variant("en", "Hello"), variant("de", "Hallo"))


@pytest.mark.parametrize("name", ["a.tmx", "a.tmx.gz"])
def test_units_with_both_languages_are_read_in_order_with_their_lines(write, name):
    content = memory(HELLO, unit(variant("fr", "Oui")), unit(variant("de", "Nein"), variant("en", "No")))
    table = read_tmx(write(name, content), DIRECTION)
    assert table.columns == ("en", "de")
    assert rows(table) == [("Hello", "Hallo"), ("No", "Nein")]
    assert list(table.lines) == [6, 8]
    assert table.notes == {"units_without_pair": 1}


@pytest.mark.parametrize(
    ("codes", "expected"),
    [
        (("en-US", "de-DE"), ("en-US", "de-DE")),
        (("EN_us", "DE"), ("EN_us", "DE")),
        (("en-GB", "en", "de-AT", "de-DE"), ("en", "de-AT")),
        (("en", "en", "de"), ("en", "de")),
    ],
)
def test_the_closest_variant_of_a_language_is_taken(write, codes, expected):
    content = memory(unit(*(variant(code, f"{code} {number}") for number, code in enumerate(codes))))
    (found,) = rows(read_tmx(write("a.tmx", content), DIRECTION))
    assert tuple(text.split()[0] for text in found) == expected
    assert found[0].endswith(str(codes.index(expected[0])))


def test_the_older_attribute_for_the_language_is_known(write):
    content = memory(unit(variant("EN", "One", "lang"), variant("DE", "Eins", "lang")))
    assert rows(read_tmx(write("a.tmx", content), DIRECTION)) == [("One", "Eins")]


def test_inline_codes_are_left_out_and_highlighted_text_is_kept(write):
    english = (
        'Press <bpt i="1">&lt;b&gt;<sub>x</sub></bpt><hi type="t">OK</hi><ept i="1">&lt;/b&gt;</ept> &amp; go<ph/>.'
    )
    german = "<![CDATA[<OK>]]> drücken<it pos='begin'>[b]</it> &#8212; los<ut>!</ut>"
    table = read_tmx(write("a.tmx", memory(unit(variant("en", english), variant("de", german)))), DIRECTION)
    assert rows(table) == [("Press OK & go.", "<OK> drücken — los")]


def test_a_property_of_the_unit_becomes_a_column(write):
    law = unit(
        variant("en", "Law"),
        '<tuv xml:lang="de"><prop type="domain">other</prop><seg>Gesetz</seg></tuv>',
        before='<note>n</note><prop type="author">me</prop><prop type="domain">law</prop>',
    )
    table = read_tmx(write("a.tmx", memory(law, HELLO)), DIRECTION, "domain")
    assert table.columns == ("en", "de", "domain")
    assert rows(table) == [("Law", "Gesetz", "law"), ("Hello", "Hallo", "")]


def test_other_encodings_are_read_as_declared(write):
    content = memory(unit(variant("en", "Size"), variant("de", "Größe"))).replace("UTF-8", "UTF-16").encode("utf-16")
    assert rows(read_tmx(write("a.tmx", content), DIRECTION)) == [("Size", "Größe")]


BOMB = (
    '<?xml version="1.0"?>\n<!DOCTYPE tmx [\n<!ENTITY a "ha">\n'
    + "".join(f'<!ENTITY {name} "{f"&{inner};" * 10}">\n' for inner, name in zip("abcdefgh", "bcdefghi", strict=True))
    + f"]>\n<tmx><body>{unit(variant('en', '&i;'), variant('de', 'x'))}</body></tmx>"
)
REFUSED = {
    "a billion laughs": (BOMB, "line 3: declares the entity 'a'"),
    "a file as entity": (
        HEAD.replace('SYSTEM "tmx14.dtd"', '[<!ENTITY x SYSTEM "file:///etc/passwd">]') + HELLO + TAIL,
        "line 2: declares the entity 'x'",
    ),
    "an entity of nowhere": (memory(unit(variant("en", "a&nbsp;b"), variant("de", "c"))), "line 6: the entity &nbsp;"),
    "a torn file": (memory(HELLO)[:-20], "not valid XML"),
    "crossed tags": (HEAD + "<tu><tuv></tu>", "line 6: not valid XML (mismatched tag)"),
    "bytes of another encoding": (memory(HELLO).encode().replace(b"Hallo", b"Gr\xfc"), "line 6: not valid XML"),
    "no encoding": (memory(HELLO).replace("UTF-8", "utf-9"), "its encoding cannot be read (unknown encoding"),
    "a wide encoding": (memory(HELLO).replace("UTF-8", "cp932"), "its encoding cannot be read (multi-byte"),
    "no XML": ("en\tde\nHello\tHallo\n", "line 1: not valid XML"),
    "an empty file": ("", "not valid XML (no element found)"),
    "another format": ('<xliff version="1.2"/>', "begins with <tmx>, found <xliff>"),
    "other languages": (
        memory(unit(variant("en", "a"), variant("fr-FR", "b"))),
        "its languages are en, fr-FR; correct",
    ),
    "no units": (memory(), "its languages are none"),
    "damaged gzip": (gzip.compress(memory(HELLO).encode() * 50)[:-30], "gzip data are damaged"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_bad_files_end_in_one_sentence(write, name):
    content, words = REFUSED[name]
    with pytest.raises(StreamError) as error:
        read_tmx(write("bad.tmx", content), DIRECTION)
    assert "bad.tmx" in str(error.value)
    assert words in str(error.value)
    assert "\n" not in str(error.value)


def test_a_missing_file_is_named_with_the_closest_one(write):
    path = write("memory.tmx", memory(HELLO))
    with pytest.raises(StreamError, match=r"did you mean 'memory\.tmx'"):
        read_tmx(path.with_name("memry.tmx"), DIRECTION)


def test_memory_follows_the_text_that_is_kept_not_the_file(write):
    """Twenty megabytes of notes around few pairs are read in a fraction of that."""
    noise = f"<tu><note>{'x' * 20_000}</note></tu>\n" * 1000
    path = write("large.tmx.gz", memory(HELLO, noise, HELLO))
    tracemalloc.start()
    try:
        assert len(read_tmx(path, DIRECTION).lines) == 2
        assert tracemalloc.get_traced_memory()[1] < 2_000_000
    finally:
        tracemalloc.stop()


sentences = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"], exclude_characters="\ufffe\uffff"))


@given(st.lists(st.tuples(sentences, sentences), min_size=1, max_size=6))
def test_any_sentence_survives(tmp_path_factory, pairs):
    from xml.sax.saxutils import escape

    path = tmp_path_factory.mktemp("tmx") / "any.tmx"
    units = (unit(variant("en", escape(first)), variant("de", escape(second))) for first, second in pairs)
    path.write_text(memory(*units), encoding="utf-8", newline="")
    assert rows(read_tmx(path, DIRECTION)) == pairs

"""Translation models: pool, vocabulary, batches, objectives, and the folder that anyone can load."""

import gzip
import random
import re
import unicodedata
from itertools import islice
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pretraining_samples import small

from continual.backbone.likelihood import IGNORED
from continual.errors import ConfigError, StreamError
from continual.pretraining.config import compose
from continual.pretraining.noise import RANDOM, SHUFFLED
from continual.pretraining.translation.config import Direction, EvaluationConfig, ModelConfig, ObjectivesConfig
from continual.pretraining.translation.evaluation import HeldOut, likelihood, translate
from continual.pretraining.translation.model import new_model
from continual.pretraining.translation.objective import Detecting, TranslationObjective
from continual.pretraining.translation.pairs import decoder_batch, encode_pairs, padded
from continual.pretraining.translation.pool import FilesPool, SimulatedPool
from continual.pretraining.translation.toy import toy_pairs
from continual.pretraining.translation.vocabulary import train_vocabulary, word_starts
from continual.progress import Progress

EN_DE = Direction("en-de", ("en", "de"))
BOTH = Direction("both", ("en", "de"))
TOY = list(islice(toy_pairs(0, "test"), 300))
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def tokenizer():
    return train_vocabulary((text for pair in TOY for text in pair), 500, ("en", "de"), 512)


@pytest.fixture(scope="module")
def made(tmp_path_factory, one_thread):
    """A small model that asks for the language of the translation."""
    one = small(tmp_path_factory.mktemp("made"), "direction=both")
    one.execute(Progress())
    return one


# The toy


def test_toy_sentences_obey_german_grammar():
    pairs = list(islice(toy_pairs(0, "grammar"), 5000))
    forms = {
        r"^The old man ": r"^Der alte Mann ",
        r"^An old woman ": r"^Eine alte Frau ",
        r"^A small child ": r"^Ein kleines Kind ",
        r"(sees|finds|buys) the red table": r"(sieht|findet|kauft) .*den roten Tisch",
        r"(needs|draws|knows) a new key": r"(braucht|zeichnet|kennt) .*einen neuen Schlüssel",
        r"(needs|draws|knows) a green lamp": r"(braucht|zeichnet|kennt) .*eine grüne Lampe",
        r"^Today, ": r"^Heute [a-zäöü]+ (der|die|das|ein|eine) ",
        r" because it rains\.$": r", weil es regnet\.$",
        r" in the garden\.$": r"im Garten",
    }
    for english, german in forms.items():
        found = [one for one in pairs if re.search(english, one[0])]
        assert found, english
        assert all(re.search(german, other) for _, other in found), found[0]
    assert all(one[0].isupper() and one.endswith(".") for pair in pairs for one in pair)


def test_toy_sentences_are_a_function_of_seed_and_name():
    assert list(islice(toy_pairs(0, "test"), 300)) == TOY
    assert list(islice(toy_pairs(1, "test"), 300)) != TOY
    assert list(islice(toy_pairs(0, "other"), 300)) != TOY


# The pool


def write(folder: Path, domain: str, **splits: list[tuple[str, str]]) -> None:
    (folder / domain).mkdir(parents=True, exist_ok=True)
    for split, pairs in splits.items():
        rows = "".join(f"{en}\t{de}\n" for en, de in [("en", "de"), *pairs])
        with gzip.open(folder / domain / f"{split}.tsv.gz", "wt", encoding="utf-8") as file:
            file.write(rows)


@pytest.fixture
def folder(tmp_path) -> Path:
    news = [
        ("One.", "Eins."),
        ("Two.", "Zwei."),
        ("One.", "Eins."),
        ("Four.", ""),
        ("Five!", "Fünf."),
        ("Six.", "Sechs."),
    ]
    write(tmp_path, "news", train=news, dev=[("Nine.", "Neun."), ("Ten.", "Zehn."), ("six", "6")])
    write(
        tmp_path,
        "menus",
        train=[("Two.", "Zwei."), ("Open", "Öffnen"), ("Close", "Schließen")],
        dev=[("Save", "Sichern")],
    )
    write(tmp_path, "game", train=[("Go!", "Los!")], dev=[("five", "5")], test=[("Three.", "Drei.")])
    return tmp_path


def test_the_pool_leaves_out_what_is_empty_repeated_or_in_a_test(folder):
    pool = FilesPool(folder=str(folder), domains=["news", "menus"], stream=["game", "news"]).read(("en", "de"), 0)
    assert pool.train == [("One.", "Eins."), ("Two.", "Zwei."), ("Open", "Öffnen"), ("Close", "Schließen")]
    assert pool.report["domains"] == {
        "news": {"empty": 1, "repeated": 1, "in a test": 2, "train": 2},
        "menus": {"empty": 0, "repeated": 1, "in a test": 0, "train": 2},
    }
    assert pool.report["stream"] == {"game": "new to the model", "news": "in the pool"}
    assert pool.held_out["menus"] == [("Save", "Sichern")]


def test_caps_of_the_pool(folder):
    pool = FilesPool(folder=str(folder), domains=["news", "menus"], cap=1, held_out=1).read(("de", "en"), 0)
    assert pool.train == [("Eins.", "One."), ("Öffnen", "Open")]
    assert pool.held_out["news"] == [("Neun.", "Nine.")]


def test_a_missing_language_or_file_is_named(folder):
    with pytest.raises(StreamError, match="unknown column 'fr'"):
        FilesPool(folder=str(folder), domains=["news"]).read(("en", "fr"), 0)
    with pytest.raises(StreamError, match=r"no file .*games/train\.tsv\.gz"):
        FilesPool(folder=str(folder), domains=["games"]).read(("en", "de"), 0)


def test_files_without_a_header(tmp_path):
    (tmp_path / "news").mkdir()
    for split in ("train", "dev"):
        (tmp_path / "news" / f"{split}.tsv").write_text(f'He said "{split}.\tEr sagte "{split}.\nYes\tJa {split}\n')
    pool = FilesPool(folder=str(tmp_path), domains=["news"], header=["en", "de"])
    assert pool.read(("de", "en"), 0).held_out["news"] == [('Er sagte "dev.', 'He said "dev.'), ("Ja dev", "Yes")]
    (tmp_path / "news" / "dev.tsv").write_text("one\teins\nalone\n")
    with pytest.raises(StreamError, match=r"dev\.tsv, line 2: expected 2 fields as in pool\.header, found 1"):
        pool.read(("en", "de"), 0)


def test_simulated_held_out_sentences_are_new():
    pool = SimulatedPool(train=400, held_out=50).read(("en", "de"), 0)
    known = {text for pair in pool.train for text in pair}
    assert len(pool.held_out["simulated"]) == 50
    assert not known & {text for pair in pool.held_out["simulated"] for text in pair}


# Vocabulary and batches


@given(st.text(st.characters(codec="utf-8"), max_size=40))
def test_decoding_gives_every_text_back(tokenizer, text):
    if any(token in text for token in tokenizer.all_special_tokens):
        return
    ids = tokenizer(text)["input_ids"]
    assert ids[-1] == tokenizer.eos_token_id
    # White space as the library's regular expressions see it.
    plain = " ".join(unicodedata.normalize("NFC", text).split()) if text.isprintable() else None
    decoded = tokenizer.decode(ids, skip_special_tokens=True)
    assert plain is None or decoded == plain


def test_the_vocabulary_is_a_function_of_the_texts(tokenizer):
    again = train_vocabulary((text for pair in TOY for text in pair), 500, ("en", "de"), 512)
    assert again.get_vocab() == tokenizer.get_vocab()
    assert len(tokenizer) <= 500
    assert tokenizer.convert_ids_to_tokens(range(5)) == ["<pad>", "</s>", "<mask>", ">>en<<", ">>de<<"]


def test_words_and_digits_are_told_apart(tokenizer):
    ids = tokenizer("The man 2024", add_special_tokens=False)["input_ids"]
    tokens = tokenizer.convert_ids_to_tokens(ids)
    assert tokens[-4:] == ["2", "0", "2", "4"]
    starts = word_starts(tokenizer)
    assert [starts[number] for number in ids] == [token.startswith("Ġ") for token in tokens]
    assert starts[ids[0]], "the first word of a text begins like any other"


def test_pairs_for_each_direction(tokenizer):
    pairs = [("The man sees a dog.", "Der Mann sieht einen Hund.")]
    one, _ = encode_pairs(pairs, EN_DE, tokenizer)
    two, _ = encode_pairs(pairs, BOTH, tokenizer)
    turned, _ = encode_pairs(pairs, Direction("de-en", ("en", "de")), tokenizer)
    assert one.tags == [[]]
    assert (turned.sources, turned.targets) == (one.targets, one.sources)
    assert two.sources == [one.sources[0], one.targets[0]]
    assert two.targets == two.sources[::-1]
    assert two.tags == [[4], [3]], "the token of the language that is to be written"
    text = tokenizer(">>de<< The man sees a dog.")["input_ids"]
    assert text == [*two.tags[0], *two.sources[0], tokenizer.eos_token_id], "as a user writes it"
    assert tokenizer(">>de<<The man sees a dog.")["input_ids"] == text


def test_long_and_unequal_pairs_are_left_out(tokenizer):
    word = " man"
    pairs = [("man", "Mann"), ("man" + word * 30, "Mann" * 3), ("man" + word * 40, "man" + word * 40)]
    config = ModelConfig(max_length=40, max_ratio=2.0)
    encoded, counts = encode_pairs(pairs, EN_DE, tokenizer, config)
    assert counts == {"too long": 1, "too unequal": 1}
    assert len(encoded) == 1
    assert encoded.lengths.max() <= config.max_length


def test_batches_by_hand():
    assert padded([[1, 2, 3], [4]], 0, CPU).tolist() == [[1, 2, 3], [4, 0, 0]]
    read, said = decoder_batch([[5, 6], [7]], start=0, end=1, device=CPU)
    assert read.tolist() == [[0, 5, 6], [0, 7, 0]]
    assert said.tolist() == [[5, 6, 1], [7, 1, IGNORED]]


# Objectives


def objective(tokenizer, smoothing: float = 0.0, direction: Direction = EN_DE, **settings) -> TranslationObjective:
    config = ModelConfig(width=16, encoder_layers=1, decoder_layers=1, heads=2, inner=32, dropout=0.0)
    pairs, _ = encode_pairs(TOY[:40], direction, tokenizer)
    held_out = HeldOut.of({"toy": TOY[40:50]}, direction, tokenizer)
    module = Detecting(new_model(config, EvaluationConfig(), tokenizer, 0), 0)
    return TranslationObjective(module, pairs, held_out, tokenizer, ObjectivesConfig(**settings), smoothing, 0)


ROWS = torch.tensor([3, 8, 11])


def test_the_plain_loss_is_that_of_the_library(tokenizer, one_thread):
    one = objective(tokenizer)
    ours, parts = one.loss(0, ROWS)
    end = tokenizer.eos_token_id
    sources = padded([[*one.pairs.sources[row], end] for row in ROWS], tokenizer.pad_token_id, CPU)
    labels = padded([[*one.pairs.targets[row], end] for row in ROWS], IGNORED, CPU)
    mask = (sources != tokenizer.pad_token_id).long()
    theirs = one.module.model(input_ids=sources, attention_mask=mask, labels=labels).loss
    assert float(ours) == pytest.approx(float(theirs), abs=1e-5)
    assert set(parts) == {"translation"}


def test_parts_add_up_with_their_weights(tokenizer, one_thread):
    noise = {"shuffle": 0.3, "random": 0.2, "second_view": True}
    whole, parts = objective(tokenizer, detection=0.3, contrast=0.2, **noise).loss(5, ROWS)
    assert set(parts) == {"translation", "detection", "contrast"}
    total = parts["translation"] + 0.3 * parts["detection"] + 0.2 * parts["contrast"]
    assert float(whole) == pytest.approx(float(total))
    # The likelihood is the mean over the noised and the plain view, which see the same noise in both objectives.
    noised, _ = objective(tokenizer, **noise | {"second_view": False}).loss(5, ROWS)
    plain, _ = objective(tokenizer).loss(5, ROWS)
    assert float(parts["translation"]) == pytest.approx(float(noised + plain) / 2, abs=1e-5)
    assert abs(float(noised - plain)) > 1e-4


def test_views_have_labels_at_their_own_tokens_alone(tokenizer):
    one = objective(tokenizer, direction=BOTH, shuffle=0.3, random=0.3, second_view=True)
    noised, plain = one._views([one.pairs.sources[0]] * 200, [[4]] * 200, random.Random(0))
    seen = {label for labels in noised.labels for label in labels}
    assert seen == {IGNORED, 0, SHUFFLED, RANDOM}
    for view in (noised, plain):
        for ids, labels in zip(view.ids, view.labels, strict=True):
            assert (ids[0], ids[-1], labels[0], labels[-1]) == (4, tokenizer.eos_token_id, IGNORED, IGNORED)
            for token, label, before in zip(ids, labels, plain.ids[0], strict=True):
                assert (token != before) == (label > 0)


def test_restoring_reads_the_target_with_masks(tokenizer, one_thread):
    one = objective(tokenizer, reconstruction=1.0, mask=0.5)
    read = []
    forward = one._forward
    one._forward = lambda views, targets: read.append((views, targets)) or forward(views, targets)
    _, parts = one.loss(0, ROWS)
    ((views, targets),) = read
    assert set(parts) == {"restoring"}
    assert targets == [one.pairs.targets[row] for row in ROWS]
    for ids, target in zip(views[0].ids, targets, strict=True):
        assert tokenizer.mask_token_id in ids
        assert {*ids} - {tokenizer.mask_token_id, tokenizer.eos_token_id} <= {*target}


def test_the_noise_is_a_function_of_the_step(tokenizer, one_thread):
    one = objective(tokenizer, shuffle=0.3, random=0.3)
    again, other = one.loss(7, ROWS)[0], one.loss(8, ROWS)[0]
    assert float(one.loss(7, ROWS)[0]) == float(again) != float(other)


def test_the_likelihood_does_not_depend_on_padding(tokenizer, one_thread):
    one = objective(tokenizer)
    one.module.eval()
    pairs = one.held_out.all()
    whole = likelihood(one.module.model, pairs)
    alone = [likelihood(one.module.model, encode_pairs([pair], EN_DE, tokenizer)[0]).nats for pair in TOY[40:50]]
    assert whole.nats == pytest.approx(sum(alone), rel=1e-4)
    assert whole.tokens == sum(len(target) + 1 for target in pairs.targets)


@pytest.mark.parametrize(
    "settings",
    [{"shuffle": 0.5}, {"span": 0}, {"detection": -1}, {"second_view": True}, {"contrast": 0.1, "random": 0.1}],
)
def test_objectives_that_make_no_sense_are_refused(settings):
    with pytest.raises(ConfigError, match=r"^objectives\..*\.$"):
        ObjectivesConfig(**settings)


# The folder


def test_the_folder_loads_without_our_code(made):
    from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

    model, report = AutoModelForSeq2SeqLM.from_pretrained(made.folder, output_loading_info=True)
    tokenizer = AutoTokenizer.from_pretrained(made.folder)
    assert tokenizer.backend_tokenizer.padding is tokenizer.backend_tokenizer.truncation is None
    assert not report["missing_keys"]
    assert not report["unexpected_keys"]
    assert model.get_input_embeddings().weight is model.lm_head.weight
    assert model.config.decoder_start_token_id == tokenizer.pad_token_id == model.generation_config.pad_token_id
    texts = [">>de<< The man sees a dog.", ">>en<< Der Hund."]
    batch = tokenizer(texts, return_tensors="pt", padding=True)
    assert set(batch) >= {"input_ids", "attention_mask"}
    assert batch["attention_mask"].sum(1).tolist() == [len(tokenizer(text)["input_ids"]) for text in texts]
    written = model.generate(**batch, max_new_tokens=6)
    assert written.shape[0] == 2
    special = set(tokenizer.all_special_ids) - {tokenizer.eos_token_id, tokenizer.pad_token_id}
    assert not special & set(written.flatten().tolist())
    assert all(isinstance(text, str) for text in tokenizer.batch_decode(written, skip_special_tokens=True))


def test_what_is_loaded_is_what_was_scored(made):
    from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

    model = AutoModelForSeq2SeqLM.from_pretrained(made.folder).eval()
    tokenizer = AutoTokenizer.from_pretrained(made.folder)
    pool = made.config.recipe.pool.read(("en", "de"), made.config.recipe.seed)
    held_out = HeldOut.of(pool.held_out, BOTH, tokenizer)
    for row in made.summary()["scores"]:
        scores = likelihood(model, held_out.parts[row["domain"], row["way"]]).scores()
        assert scores["loss"] == pytest.approx(row["loss"], abs=1e-5)
        assert "nrefs:1" in row["signature"]


def test_held_out_texts_are_translated_in_order_whole_and_by_a_model_that_stays_as_it_is(made):
    from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

    model = AutoModelForSeq2SeqLM.from_pretrained(made.folder).eval()
    tokenizer = AutoTokenizer.from_pretrained(made.folder)
    config, trained = EvaluationConfig(beams=1, max_new_tokens=5), [it.requires_grad for it in model.parameters()]
    sentence = "The old man sees the small dog in the garden."
    texts = [" ".join([sentence] * 40), "The cat."]
    long, short = translate(model, tokenizer, texts, config, 64, ">>de<<")
    assert short == translate(model, tokenizer, texts[1:], config, 64, ">>de<<")[0]
    ids = model.generate(**tokenizer([f">>de<<{texts[1]}"], return_tensors="pt"), num_beams=1, max_new_tokens=5)
    assert short == tokenizer.batch_decode(ids, skip_special_tokens=True)[0].strip()
    assert len(tokenizer(texts[0])["input_ids"]) > 256
    assert len(tokenizer(long)["input_ids"]) > 5 + 1, "what is longer than the model reads is translated in pieces"
    assert [it.requires_grad for it in model.parameters()] == trained
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())


def test_the_summary_tells_what_was_done(made):
    summary = made.summary()
    assert summary["direction"] == "both"
    assert [row["way"] for row in summary["scores"]] == ["en-de", "de-en"]
    assert summary["pool"]["domains"]["simulated"]["train"] == 160
    assert summary["steps"] == 14
    assert summary["parameters"] < 50_000


def test_named_configurations_are_complete(monkeypatch, tmp_path):
    """Every setting stands in the YAML files, so that a reader sees all there is."""
    import dataclasses

    from continual.composing import names_in

    monkeypatch.setenv("CONTINUAL_DATA", str(tmp_path))
    for name in names_in("pretrain"):
        config = compose(name)
        for section in config.recipe.sections:
            value = getattr(config.recipe, section, None)
            if not dataclasses.is_dataclass(value) or section == "direction":
                continue
            fields = {field.name for field in dataclasses.fields(value)} | ({"kind"} if section == "pool" else set())
            assert fields == set(config.resolved[section]), f"{name}: {section}"

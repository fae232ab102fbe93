"""`continual run mt_small backbone=translation-tiny`, small: a toy is made, domains are learned, lines are translated.

The commands of the documentation, on two domains whose text the test makes, and with a model of a few thousand weights.
"""

import gzip
import json
from itertools import islice

from command_line import call

from continual.pretraining.translation.toy import toy_pairs

MODEL = (
    "pool.train=160", "pool.held_out=12", "model.vocabulary=400", "model.width=32", "model.encoder_layers=1",
    "model.decoder_layers=1", "model.heads=2", "model.inner=64", "training.steps=14", "training.batch_tokens=160",
    "training.warmup=4", "evaluation.pairs=4", "evaluation.max_new_tokens=8", "tracking.enabled=false", "threads=1",
)  # fmt: skip
DOMAINS = ("captions_multi30k", "game_wesnoth")


def write_domain(folder, name: str) -> None:
    """A domain as the data folder has it: tables without a header line."""
    pairs = toy_pairs(0, name)
    folder.mkdir(parents=True)
    for split, count in (("train", 24), ("dev", 8), ("test", 8)):
        lines = (f"{source}\t{target}\n" for source, target in islice(pairs, count))
        with gzip.open(folder / f"{split}.tsv.gz", "wt", encoding="utf-8") as file:
            file.writelines(lines)


def test_domains_are_learned_on_the_toy_model_and_lines_are_translated(tmp_path, monkeypatch, one_thread):
    monkeypatch.setenv("CONTINUAL_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("CONTINUAL_DATA", str(tmp_path / "data"))
    for name in DOMAINS:
        write_domain(tmp_path / "data" / "mt" / name, name)
    run = (
        "run", "mt_small", "backbone=translation-tiny", f"backbone.pretrain={json.dumps(MODEL)}",
        f"stream.tasks=[{','.join(DOMAINS)}]", "stream.max_train=16", "stream.max_dev=6", "stream.max_test=6",
        "training.epochs=2", "training.min_steps=0", "decoding.max_new_tokens=8", "tracking.enabled=false",
        "threads=1", "--runs-dir", str(tmp_path), "--name", "run",
    )  # fmt: skip
    code, _, err = call(*run)
    assert code == 2
    assert "make it with `continual pretrain translation-tiny " in err
    assert not (tmp_path / "run").exists()
    assert call("pretrain", "translation-tiny", *MODEL)[0] == 0
    code, out, err = call(*run)
    assert code == 0, err
    assert "aware" in out
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert summary["tasks"] == list(DOMAINS)
    assert [summary["backbone"], summary["tuning"]] == ["translation-tiny", "both"]
    assert summary["aware"]["forgetting"] == 0
    assert all(task["train_examples"] == 16 for task in summary["per_task"])
    lines = ["The old man sees the dog.", "", " ".join(["The cat sleeps in the small house."] * 80)]
    (tmp_path / "in.txt").write_text("\n".join(lines), encoding="utf-8")
    code, out, _ = call("predict", str(tmp_path / "run"), "--file", str(tmp_path / "in.txt"), "--task", DOMAINS[0])
    assert code == 0
    first, second, third = out.removesuffix("\n").split("\n")
    assert second == ""
    assert len(third) > len(first)

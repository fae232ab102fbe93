"""Growth: how exact it is, what it brings a stream that needs it, and that it leaves alone a stream that does not.

    python -m benchmarks.growth exactness                       families x {depth, width, both} x {exact, elle}
    CONTINUAL_DATA=... python -m benchmarks.growth needed       hard pair tasks behind easy ones, growth against never
    CONTINUAL_DATA=... python -m benchmarks.growth unneeded     pheme and cl5: the test of capacity must not fire

`--quick` tries the streams with few texts. Results are groups of one file.
"""

import argparse
import json
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.common import RESULTS, stamp
from continual.files import read_json, write_json

_AMOUNTS = {"depth": {"layers": 2}, "width": {"width": 1}, "both": {"layers": 2, "width": 1}}
"""What is added; width in multiples of the model's own."""

_ENCODERS = {
    "bert": {"hidden_size": 64, "num_hidden_layers": 4, "num_attention_heads": 4, "intermediate_size": 256},
    "roberta": {"layer_norm_eps": 1e-5, "type_vocab_size": 1},
    "mpnet": {"layer_norm_eps": 1e-5},
}
_SIDES = {
    f"{side}_{name}": value
    for side in ("encoder", "decoder")
    for name, value in (("layers", 4), ("attention_heads", 4), ("ffn_dim", 256))
}
_GENERATORS = {
    "marian": {"d_model": 64, **_SIDES, "decoder_start_token_id": 1, "scale_embedding": True},
    "t5": {"d_model": 64, "d_kv": 16, "d_ff": 256, "num_layers": 4, "num_heads": 4, "decoder_start_token_id": 0},
    "gpt2": {"n_embd": 64, "n_layer": 4, "n_head": 4},
    "llama": {
        "hidden_size": 64,
        "num_hidden_layers": 4,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "intermediate_size": 256,
        "tie_word_embeddings": True,
    },
}

_HARD = ("agnews", "sst2", "mnli", "qqp", "wic", "boolq")
"""Easy tasks, then tasks on pairs that a small sentence encoder holds badly."""

_STREAMS = {"pheme": None, "cl5": None}
_COMMON = ("method=panda", "tracking.enabled=false")
_SHORT = ("stream.max_train=600", "stream.max_dev=200", "stream.max_test=200", "backbone.max_length=64")


def main() -> None:
    """Measures what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("exactness", "needed", "unneeded"))
    parser.add_argument("--quick", action="store_true", help="few texts: a trial, not to be committed")
    parser.add_argument("--seeds", type=int, default=3)
    given = parser.parse_args()
    started = time.perf_counter()
    if given.what == "exactness":
        value: dict[str, Any] = {"rows": exactness()}
    elif given.what == "needed":
        value = needed(given.quick, 1 if given.quick else given.seeds)
    else:
        value = unneeded(given.quick, 1 if given.quick else given.seeds)
    if given.quick:
        print(json.dumps(value, indent=2))
        return
    _keep(given.what, value, time.perf_counter() - started)


def exactness() -> list[dict[str, Any]]:
    """The largest change of any output, on models with random weights and on real ones."""
    rows = []
    for name, model, tokenizer in _models():
        for grown, amount in _AMOUNTS.items():
            row = {"model": name, "grown": grown} | {how: _change(model, tokenizer, how, amount) for how in _hows()}
            rows.append(row)
            shown = ", ".join(f"{how} {row[how]['largest']:.1e}" for how in _hows())
            print(f"{name:14} {grown:6} {shown}  (of {row['exact']['scale']:.1f}, {row['exact']['what']})")
    return rows


def _hows() -> list[str]:
    from continual.growth import EXPANSIONS

    return EXPANSIONS.names()


def _change(model: Any, tokenizer: Any, how: str, amount: dict[str, int]) -> dict[str, Any]:
    from continual.growth import EXPANSIONS
    from continual.growth.change import difference
    from continual.growth.sizes import Amount
    from continual.growth.weights import grown, plan, sizes_of

    expansion = EXPANSIONS.load(how)()
    added = amount | {"width": amount.get("width", 0) * sizes_of(model).width}
    chosen = plan(model, expansion, Amount(**added))
    return vars(difference(model, grown(model, chosen, expansion.noise), tokenizer, chosen))


def _models() -> list[tuple[str, Any, Any]]:
    """Random models of every family with MiniLM's vocabulary, and the real ones that are installed."""
    import torch
    import transformers

    from continual.backbone import BACKBONES
    from continual.errors import BackboneError

    words = BACKBONES.load("minilm")().tokenizer
    found = []
    for family, sizes in {**_ENCODERS, **_GENERATORS}.items():
        shared = {"vocab_size": len(words), "pad_token_id": 0, "bos_token_id": 101, "eos_token_id": 102}
        base = _ENCODERS["bert"] if family in _ENCODERS else {}
        config = transformers.AutoConfig.for_model(family, **shared, **base, **sizes)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            auto = "AutoModel" if family in _ENCODERS else "AutoModelForCausalLM"
            auto = "AutoModelForSeq2SeqLM" if family in ("marian", "t5") else auto
            model = getattr(transformers, auto).from_config(config).eval()
        found.append((f"{family}, random", model, words))
    for name in ("minilm", "flan-t5-small", "smollm2-135m"):
        try:
            encoder = BACKBONES.load(name)()
        except BackboneError as error:
            print(f"left out: {error}")
            continue
        found.append((name, encoder.model, encoder.tokenizer))
    return found


def needed(quick: bool, seeds: int) -> dict[str, Any]:
    """A stream that prompts on MiniLM hold badly: growing by the test, by schedule, and never with as much time."""
    tasks = f"stream.tasks=[{','.join(_HARD)}]"
    shared = ("cl10", tasks, "stream.dev_fraction=0.2", *_COMMON, *(_SHORT if quick else ()))
    runs = []
    for seed in range(seeds):
        by_test = _run(*shared, "growth.when=capacity", f"seed={seed}")
        runs.append(by_test | {"growth": "capacity", "seed": seed})
        epochs = round(8 * max(1.0, by_test["learning_seconds"] / _plain_seconds(shared, seed, runs)))
        longer = (f"training.epochs={epochs}", f"training.patience={epochs}")
        runs.append(_run(*shared, *longer, f"seed={seed}") | {"growth": "never, as much time", "seed": seed})
    return {"tasks": list(_HARD), "runs": runs}


def _plain_seconds(shared: tuple[str, ...], seed: int, runs: list[dict[str, Any]]) -> float:
    """Seconds of learning without growth; that run is noted too."""
    plain = _run(*shared, f"seed={seed}")
    runs.append(plain | {"growth": "never", "seed": seed})
    return plain["learning_seconds"]


def unneeded(quick: bool, seeds: int) -> dict[str, Any]:
    """Streams that prompts hold: after how many of their tasks the test would have grown the backbone."""
    runs = []
    for stream in _STREAMS:
        for seed in range(seeds):
            words = (stream, *_COMMON, "growth.when=capacity", f"seed={seed}", *(_SHORT if quick else ()))
            runs.append(_run(*words) | {"stream": stream, "seed": seed})
    return {"fired": sum(run["grown"] for run in runs), "asked": sum(run["asked"] for run in runs), "runs": runs}


def _run(name: str, *overrides: str) -> dict[str, Any]:
    """One run, in a folder of its own that is thrown away."""
    from continual.config import compose
    from continual.progress import Progress
    from continual.run import Run

    if name == "pheme":
        overrides = tuple(word for word in overrides if not word.startswith("stream."))
    with tempfile.TemporaryDirectory() as folder:
        run = Run.create(Path(folder) / "run", compose(name, overrides))
        run.execute(Progress())
        summary = read_json(run.folder / "summary.json")
    matrix, growth = summary["aware"]["matrix"], summary["growth"]
    grown = [entry for entry in growth if entry["to"] is not None]
    print(f"{name} {' '.join(overrides)}: average {summary['aware']['average']:.3f}, grown {len(grown)} times")
    return {
        "average": summary["aware"]["average"],
        "routed": summary["routed"]["average"],
        "forgetting": summary["aware"]["forgetting"],
        "accuracies": dict(zip(summary["tasks"], matrix[-1], strict=True)),
        "learning_seconds": summary["seconds"]["train"],
        "asked": len(growth),
        "grown": len(grown),
        "growths": [entry | _before_and_after(summary, entry["task"]) for entry in growth],
    }


def _before_and_after(summary: dict[str, Any], task: str) -> dict[str, Any]:
    """Test accuracy of the tasks before `task` in the rows before and behind it."""
    place, matrix = summary["tasks"].index(task), summary["aware"]["matrix"]
    return {"old_tasks_before": matrix[place][:place], "old_tasks_after": matrix[place + 1][:place]}


def _keep(group: str, value: dict[str, Any], seconds: float) -> None:
    """Writes one group of results; other groups keep theirs."""
    path = RESULTS / "growth.json"
    whole = read_json(path) if path.exists() else {"groups": {}}
    whole["groups"][group] = stamp(seconds) | value
    write_json(path, whole)
    print(f"written: {path}")


if __name__ == "__main__":
    main()

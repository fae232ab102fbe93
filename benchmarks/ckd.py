"""Continual distillation of a translation model: a student in its own domain, and teachers that come and go.

    CONTINUAL_DATA=... python -m benchmarks.ckd [--seeds 0] [--runs-dir DIR] [key=value ...]
    python -m benchmarks.ckd --base translation-tiny            # made-up text, no data needed
    python -m benchmarks.ckd --quick                            # the same with little models, some minutes

After Zhang et al. 2023 (arXiv 2212.09097), with our formula; see docs/students.md. The base model comes from `continual
pretrain`. The student is the base trained on few pairs of its domain, which are its transfer set, too. Three sequences
of four teachers are the base trained on whole domains (homogeneous), models of two other shapes pretrained with the
base's vocabulary and trained likewise (heterogeneous), and the base trained on translations of other sentences
(malicious). Each sequence teaches the student by plain distillation, by CKD and by CKD without one of its parts; a
student that hears no teacher, and is otherwise trained on in the same steps and batches, says what teachers are
worth. BLEU is on the student's own test.

Every model is made once in --runs-dir and found there again, so a benchmark that was stopped goes on. Settings that
follow (`training.steps=40`) are for the steps of students. On two cores the base takes 45 minutes, the two other shapes
some 8 and 16, teachers about 20 and each sequence of four steps about 3 minutes, of which there are 16 a seed.
"""

import argparse
import statistics
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console

from benchmarks.common import save
from benchmarks.tables.students import by_method, ckd_means
from continual.cli.output import print_table
from continual.evaluation.corpus_scores import accumulative_degradation
from continual.pretraining.config import compose as pretraining
from continual.pretraining.session import Pretraining
from continual.progress import Progress
from continual.students.session import Student, compose

ALONE = "no teacher"
METHODS = {
    "plain KD": ("kd", ()),
    "CKD": ("ckd", ()),
    "CKD, no negative term": ("ckd", ("ckd.negative=0",)),
    "CKD, learned instead of averted": ("ckd", ("ckd.detection=all", "ckd.negative=0")),
    "CKD, no inheritance": ("ckd", ("ckd.inherited=0",)),
    ALONE: ("ckd", ("ckd.positive=0", "ckd.negative=0", "ckd.inherited=0")),
}
"""What is compared. The ablations leave all other weights as they are; where nothing is averted, plain distillation has
CKD's weights."""


@dataclass(frozen=True)
class Scale:
    """How large everything is.

    Attributes:
        base: Settings of `continual pretrain` that make the base model.
        shapes: What the other shapes change in them, for heterogeneous teachers.
        stream: Settings of the stream; its seed is fixed, so that no teacher sees what another's seed tests on.
        own: The student's domain.
        domains: Those of the teachers, in the order of their arrival.
        pairs: Of the student's training.
        student: Settings of the student's training, which has to be long enough: to a student that is still learning
            from its own pairs, whatever holds it back does harm, good teachers included.
        teacher: Settings of a teacher's training.
        steps: Settings of each step of a distillation.
    """

    base: tuple[str, ...]
    shapes: tuple[tuple[str, ...], ...]
    stream: tuple[str, ...]
    own: str
    domains: tuple[str, ...]
    pairs: int
    student: tuple[str, ...] = ()
    teacher: tuple[str, ...] = ()
    steps: tuple[str, ...] = ()


BASE = Scale(
    base=("translation-base",),
    shapes=(
        ("model.width=128", "model.inner=512", "training.steps=3000"),
        ("model.encoder_layers=5", "model.decoder_layers=2", "training.steps=3000"),
    ),
    stream=("stream=mt6", "stream.split_seed=0", "stream.max_dev=200", "stream.max_test=400"),
    own="captions_multi30k",
    domains=("everyday_tatoeba", "captions_multi30k", "opus_koran", "docs_libreoffice"),
    pairs=1000,
    student=("training.steps=150",),
    teacher=("training.steps=300", "translating.beams=1", "translating.test=100"),
    steps=("training.steps=60", "translating.beams=1"),
)
_TINY_STREAM = ("stream=simulated_translation", "stream.split_seed=0", "stream.train=600")
TINY = Scale(
    base=("translation-tiny",),
    shapes=(("model.width=64", "model.inner=256"), ("model.encoder_layers=3", "model.decoder_layers=1")),
    stream=_TINY_STREAM,
    own="kitchen",
    domains=("bistro", "kitchen", "station", "canteen"),
    pairs=150,
    student=("training.steps=600", "training.learning_rate=0.001"),
    teacher=("training.steps=300", "training.learning_rate=0.001", "translating.beams=1", "translating.test=20"),
    steps=("training.steps=60", "training.learning_rate=0.0005"),
)
_QUICK = ("training.batch_tokens=512", "translating.beams=1", "translating.max_new_tokens=64")
QUICK = Scale(
    base=("translation-tiny", "model.width=64", "model.inner=128", "model.heads=2", "training.steps=100"),
    shapes=(("model.width=48",), ("model.encoder_layers=3", "model.decoder_layers=1")),
    stream=(*_TINY_STREAM, "stream.dev=30", "stream.test=60"),
    own="kitchen",
    domains=("bistro", "kitchen", "station", "canteen"),
    pairs=150,
    student=("training.steps=600", "training.learning_rate=0.004", *_QUICK),
    teacher=("training.steps=400", "training.learning_rate=0.004", "translating.test=4", *_QUICK),
    steps=("training.steps=20", "training.warmup=5", "training.learning_rate=0.001", *_QUICK),
)
SCALES = {"translation-base": BASE, "translation-tiny": TINY}


@dataclass
class Bench:
    """The models of one scale, each made once.

    Attributes:
        scale: How large everything is.
        runs: Where students and teachers are.
        overrides: Further settings of the steps of students.
        progress: What is seen of the work.
    """

    scale: Scale
    runs: Path
    overrides: Sequence[str]
    progress: Progress = field(default_factory=lambda: Progress(Console(stderr=True, highlight=False)))

    def base(self, shape: Sequence[str] = ()) -> Path:
        """The base model, or one of another shape with its vocabulary."""
        return self._pretraining(shape).execute(self.progress)

    def models(self) -> Iterator[dict[str, Any]]:
        """What is told of the models that all students and teachers begin with."""
        for shape in ((), *self.scale.shapes):
            summary = self._pretraining(shape).summary()
            told = {key: summary[key] for key in ("steps", "parameters", "seconds")}
            yield {"name": self.scale.base[0], "settings": [*self.scale.base[1:], *shape]} | told

    def _pretraining(self, shape: Sequence[str]) -> Pretraining:
        name, *settings = self.scale.base
        return Pretraining(pretraining(name, [*settings, *shape]))

    def made(self, recipe: str, *settings: str) -> Student:
        """A finished student or teacher."""
        one = Student(compose(recipe, [*settings, "tracking.enabled=false"]), self.runs)
        one.execute(self.progress)
        return one

    def student(self, seed: int) -> Path:
        """phi_0: the base, trained on few pairs of its domain."""
        settings = ("name=student", *self._own(seed), *self.scale.student)
        return self.made("fine_tuning", f"student={self.base()}", *settings).folder

    def teachers(self) -> Iterator[tuple[str, list[Path]]]:
        """The three sequences."""
        base, shapes = self.base(), [self.base(shape) for shape in self.scale.shapes]
        domains = self.scale.domains
        yield "homogeneous", [self._teacher(base, domain, domain) for domain in domains]
        others = [(place % len(shapes), domain) for place, domain in enumerate(domains)]
        yield "heterogeneous", [self._teacher(shapes[at], domain, f"{domain}-shape{at + 1}") for at, domain in others]
        yield "malicious", [self._teacher(base, domain, f"{domain}-malicious", "shuffled=1") for domain in domains]

    def _teacher(self, model: Path, domain: str, name: str, *settings: str) -> Path:
        settings = (*self.scale.stream, f"task={domain}", f"name={name}", *self.scale.teacher, *settings)
        return self.made("fine_tuning", f"student={model}", *settings).folder

    def taught(self, recipe: str, seed: int, teachers: Sequence[Path], settings: Sequence[str]) -> list[dict[str, Any]]:
        """The scores before the first teacher and after each."""
        given = (f"student={self.student(seed)}", f"teachers=[{','.join(map(str, teachers))}]")
        one = self.made(recipe, *given, *self._own(seed), *self.scale.steps, *settings, *self.overrides)
        return one.summary()["scores"]

    def _own(self, seed: int) -> tuple[str, ...]:
        return (*self.scale.stream, f"stream.max_train={self.scale.pairs}", f"task={self.scale.own}", f"seed={seed}")


def measure(bench: Bench, seeds: Sequence[int]) -> Iterator[dict[str, Any]]:
    """A row for each sequence of teachers, method and seed; who hears no teacher is the same under all sequences."""
    for seed in seeds:
        for number, (kind, teachers) in enumerate(bench.teachers()):
            for method, (recipe, settings) in METHODS.items():
                if method != ALONE or not number:
                    shown = "–" if method == ALONE else kind
                    yield row(shown, method, seed, bench.taught(recipe, seed, teachers, settings))


def row(teachers: str, method: str, seed: int, scores: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """What is kept of one student."""
    bleu = [one["bleu"] for one in scores]
    return {
        "teachers": teachers,
        "method": method,
        "seed": seed,
        "bleu": bleu,
        "chrf": [one["chrf"] for one in scores],
        "dev_loss": [one["dev_loss"] for one in scores],
        "noise": [one["noise"] for one in scores[1:]],
        "beneficial": [one.get("beneficial") for one in scores[1:]],
        "mean_bleu": statistics.fmean(bleu[1:]),
        "gain": bleu[-1] - bleu[0],
        "accumulative_degradation": accumulative_degradation(bleu),
        "worse_steps": sum(one["bleu_change"] < -one["noise"] for one in scores[1:]),
    }


def table(rows: Sequence[dict[str, Any]]) -> list[list[Any]]:
    """Means over seeds: teachers, method, BLEU before and after each step, mean BLEU, AD, steps worse beyond noise."""
    lines = []
    for teachers, method, same in by_method(rows):
        worse = statistics.fmean(one["worse_steps"] for one in same)
        lines.append([teachers, method, *(f"{value:.2f}" for value in [*ckd_means(same), worse])])
    return lines


def main() -> None:
    """Makes what is missing, and prints and saves the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--base", choices=list(SCALES), default="translation-base")
    parser.add_argument("--quick", action="store_true", help="little models and made-up text: some minutes")
    parser.add_argument("--seeds", default="0", help="of students and their transfer sets; teachers have seed 0")
    parser.add_argument("--runs-dir", type=Path, default=None, help="keeps teachers and students here")
    parser.add_argument("--result", default=None, help="name of the result file")
    parser.add_argument("overrides", nargs="*", help="settings of the steps of students, such as training.steps=40")
    arguments = parser.parse_args()
    scale = QUICK if arguments.quick else SCALES[arguments.base]
    with tempfile.TemporaryDirectory() as temporary:
        bench = Bench(scale, arguments.runs_dir or Path(temporary), arguments.overrides)
        rows = list(measure(bench, [int(seed) for seed in arguments.seeds.split(",")]))
        models = list(bench.models())
    steps = [f"step {number}" for number in range(1, len(scale.domains) + 1)]
    columns = ["teachers", "method", "before", *steps, "mean", "AD", "worse"]
    print_table(columns, table(rows), numbers=columns[2:])
    about = {"own": scale.own, "domains": list(scale.domains), "pairs": scale.pairs, "overrides": arguments.overrides}
    result = arguments.result or ("ckd-quick" if arguments.quick else "ckd")
    save(result, {"base": " ".join(scale.base), "models": models, **about, "rows": rows})


if __name__ == "__main__":
    main()

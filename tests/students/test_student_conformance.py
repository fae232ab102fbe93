"""What every recipe for a smaller model promises: ordinary folders, the same bits after a stop, clear errors."""

import dataclasses
import re

import pytest
import yaml
from distilled_samples import RECIPES, made, models, numbers, settings, student

from continual.composing import names_in
from continual.errors import ConfigError, Interrupted
from continual.progress import Progress
from continual.students import STUDENTS
from continual.students.session import compose

CAUSAL = ("in_context",)


class Cut(Progress):
    """Asks a making to stop after some steps of training."""

    def __init__(self, steps: int) -> None:
        super().__init__()
        self.left = steps

    def advance(self, steps: int) -> None:
        self.left -= steps
        if self.left <= 0:
            self._stopping.set()


@pytest.fixture(scope="module")
def model_of(tiny_folder, tiny_generator_folder):
    """Gives the folder of the tiny model that a recipe learns from."""
    return lambda recipe: tiny_generator_folder("llama") if recipe in CAUSAL else tiny_folder("bert")


@pytest.fixture(scope="module")
def finished(tmp_path_factory, model_of):
    """Gives a finished student of a recipe, made once."""
    kept = {}

    def one(recipe: str):
        if recipe not in kept:
            kept[recipe] = made(tmp_path_factory.mktemp(recipe), settings(recipe, model_of(recipe)))
        return kept[recipe]

    return one


@pytest.mark.parametrize("recipe", RECIPES)
def test_it_is_an_ordinary_folder_of_a_smaller_model(finished, model_of, recipe):
    from transformers import AutoModel, AutoTokenizer

    it = finished(recipe)
    teacher = AutoModel.from_pretrained(model_of(recipe))
    folders = models(it)
    assert folders
    for folder in folders:
        model = AutoModel.from_pretrained(folder)
        assert 0 < model.num_parameters() < teacher.num_parameters()
        words = AutoTokenizer.from_pretrained(folder)
        assert words.get_vocab() == AutoTokenizer.from_pretrained(model_of(recipe)).get_vocab()
        assert len(words("soup " * 100)["input_ids"]) >= 100, "no length is written down as the tokenizer's habit"


@pytest.mark.parametrize("recipe", RECIPES)
def test_its_summary_tells_of_all_models_and_stages(finished, recipe):
    summary = finished(recipe).summary()
    assert summary["task"] == "kitchen, harbour"
    names = [row["model"] for row in summary["scores"]]
    assert names[0] == "teacher"
    assert len(set(names)) == len(names) > 1
    columns = finished(recipe).config.recipe.columns
    for row in summary["scores"]:
        assert columns[0] in row
        assert all(0 <= row[name] <= 1 for name in ("probe", "answers") if name in row)
        assert any(name in row for name in columns[2:])
    for stage in summary["stages"]:
        assert stage["steps"] > 0
        assert stage["curve"]


@pytest.mark.parametrize("recipe", RECIPES)
def test_stopped_and_continued_it_ends_with_the_same_bits(finished, model_of, tmp_path, recipe):
    it = student(tmp_path, settings(recipe, model_of(recipe)))
    for steps in (2, 3):
        with pytest.raises(Interrupted):
            it.execute(Cut(steps))
        assert not it.is_finished
        it = student(tmp_path, settings(recipe, model_of(recipe)))
    it.execute(Progress())
    whole = finished(recipe)
    assert it.key == whole.key
    assert numbers(it) == numbers(whole)
    for own, other in zip(models(it), models(whole), strict=True):
        assert (own / "model.safetensors").read_bytes() == (other / "model.safetensors").read_bytes()


@pytest.mark.parametrize("recipe", RECIPES)
def test_its_file_in_configs_has_all_settings_and_no_others(recipe):
    assert recipe in names_in("distil")
    config = compose(recipe)
    assert config.kind == recipe
    assert set(config.recipe.sections) <= set(config.resolved)
    for section in config.recipe.sections:
        owner = config.recipe if hasattr(config.recipe, section) else config.recipe.common
        value = getattr(owner, section, None)
        if dataclasses.is_dataclass(value) and isinstance(config.resolved[section], dict) and section != "stream":
            assert {field.name for field in dataclasses.fields(value)} == set(config.resolved[section]), section


@pytest.mark.parametrize("recipe", RECIPES)
def test_what_it_made_can_be_repeated_from_its_own_folder(finished, recipe):
    resolved = yaml.safe_load((finished(recipe).folder / "config.yaml").read_text())
    assert resolved["kind"] == recipe
    assert compose(str(finished(recipe).folder / "config.yaml")).resolved == resolved


@pytest.mark.parametrize("recipe", RECIPES)
def test_unknown_settings_are_refused(model_of, tmp_path, recipe):
    with pytest.raises(ConfigError, match=re.escape("no setting 'tempreature'")):
        student(tmp_path, settings(recipe, model_of(recipe), tempreature=1))
    with pytest.raises(ConfigError, match="training"):
        student(tmp_path, settings(recipe, model_of(recipe), training={"stepz": 1}))


@pytest.mark.parametrize("recipe", RECIPES)
def test_labels_are_not_smoothed(model_of, tmp_path, recipe):
    with pytest.raises(ConfigError, match=r"label_smoothing is 0\.1"):
        student(tmp_path, settings(recipe, model_of(recipe)), "training.label_smoothing=0.1")


def test_every_recipe_that_is_not_about_translation_is_here():
    assert set(STUDENTS.names()) == {*RECIPES, "fine_tuning", "ckd"}

"""The documentation: its examples run, its links lead somewhere, and what is generated from the code is current."""

import csv
import importlib.util
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from urllib.parse import unquote

import click
import pytest
from plugin_samples import forgotten

ROOT = Path(__file__).resolve().parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("examples/*.md")])
README = ROOT / "README.md"
EXTENDING = ROOT / "docs" / "extending.md"

SWEEPS = ROOT / "docs" / "sweeps.md"

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_MADE_SMALL = {
    "SimulatedSource()": "SimulatedSource(train=24, dev=12, test=12)",
    'order=["kitchen", "harbour", "office"]': 'order=["kitchen", "office"]',
    'Learner("my-pool")': 'Learner("my-pool", settings=LearnerSettings(training=TrainingConfig(1, min_steps=0)))',
    "import Learner\n": "import Learner, LearnerSettings\nfrom continual.training.config import TrainingConfig\n",
}
"""What the test changes in the README's example, so that it takes seconds."""


def code_blocks(page: Path, language: str) -> list[str]:
    return [code for found, code in _FENCE.findall(page.read_text(encoding="utf-8")) if found == language]


def python(folder: Path, *arguments: str) -> str:
    """What Python prints into a file, run in `folder`; a failure shows its traceback."""
    environment = {name: value for name, value in os.environ.items() if name != "COLUMNS"}
    done = subprocess.run([sys.executable, *arguments], cwd=folder, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def readme_example() -> str:
    (code,) = code_blocks(README, "python")
    return code


def test_readme_begins_with_the_two_commands() -> None:
    commands = [line.split("  #")[0].strip() for line in code_blocks(README, "bash")[0].splitlines()]
    assert commands == [
        "python -m pip install . && continual run quickstart",
        'python -m pip install ".[test]" && pytest -n logical',
    ]
    assert README.read_text(encoding="utf-8").index("```bash") < 40, "nothing but the title stands before them"


def test_readme_example_is_ten_lines_and_runs(tmp_path: Path) -> None:
    code = readme_example()
    assert len([line for line in code.splitlines() if line.strip()]) <= 10
    for given, small in _MADE_SMALL.items():
        assert given in code, f"the README changed; correct _MADE_SMALL for {given}"
        code = code.replace(given, small)
    assert len(python(tmp_path, "-c", code).splitlines()) == 4, "two tasks and two answers"


@pytest.mark.slow
def test_readme_example_tells_a_text_of_its_tasks_from_a_stranger(tmp_path: Path) -> None:
    *tasks, known, stranger = python(tmp_path, "-c", readme_example()).splitlines()
    assert [line.split()[0] for line in tasks] == ["kitchen", "harbour", "office"]
    assert known.startswith("yes")
    assert known.endswith("kitchen True")
    assert stranger.endswith("False")


def extending_files(folder: Path) -> list[str]:
    """Writes the files of the page on extending, each under the name that it begins with; the modules among them."""
    modules = []
    for language, code in _FENCE.findall(EXTENDING.read_text(encoding="utf-8")):
        if language == "bash":
            continue
        name = re.match(r"# ([\w.]+\.(?:py|yaml|toml))\n", code)
        assert name, f"every example begins with the name of its file, but one with {code.splitlines()[0]!r}"
        (folder / name[1]).write_text(code, encoding="utf-8")
        modules += [name[1].removesuffix(".py")] if language == "python" else []
    return modules


def test_examples_of_extending_run(tmp_path: Path) -> None:
    modules = extending_files(tmp_path)
    # One process for all, because importing torch takes longer than most of them.
    printed = python(tmp_path, "-c", "\n".join(f"print('== {name}')\nimport {name}" for name in modules))
    outputs = dict(part.split("\n", 1) for part in printed.split("== ")[1:])
    silent = [name for name in modules if name.startswith("use_") and not outputs[name].strip()]
    assert not silent
    assert float(outputs["use_worst"]) == 0.7


def continual(folder: Path, *words: str, **environment: str) -> str:
    """What a command prints, in a process of its own that finds no module in the folder by itself."""
    done = subprocess.run(
        [sys.executable, "-P", "-m", "continual", *words],
        cwd=folder,
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture
def small(tiny_folder: Callable[[str], Path]) -> list[str]:
    """Settings with which a run takes a second; the page need not show them."""
    stream = ["stream.train=24", "stream.dev=12", "stream.test=12", "stream.order=[kitchen,office]"]
    fast = ["training.epochs=1", "training.min_steps=0", "routing.keys=4", "tracking.enabled=false", "threads=1"]
    return [f"backbone={tiny_folder('bert')}", "tuning.layer=1", *stream, *fast]


def test_commands_of_extending_run(tmp_path: Path, small: list[str]) -> None:
    """With a plugin in a file; what was learned with it is used from another folder."""
    extending_files(tmp_path)
    (tmp_path / "elsewhere").mkdir()
    run, predict, sweep = (shlex.split(line) for line in code_blocks(EXTENDING, "bash")[0].splitlines())
    assert "mine, averaged, seed 0" in continual(tmp_path, *run[1:], *small).replace("quickstart", "mine")
    predict[2] = "../runs/mine"
    row = json.loads(continual(tmp_path / "elsewhere", *predict[1:], "--format", "json"))[0]
    assert row["prompt"] in ("kitchen-v1", "office-v1")
    sweep[sweep.index("seed=0,1")] = "seed=0"  # each cell is a process
    printed = continual(tmp_path, *sweep[1:], *small)
    assert (tmp_path / "runs" / "both" / "method=averaged" / "report.html").exists(), printed


def test_a_package_with_entry_points_is_found_without_a_setting(tmp_path: Path, small: list[str]) -> None:
    """As `pip install` would leave the package of the page."""
    extending_files(tmp_path)
    project = tomllib.loads((tmp_path / "pyproject.toml").read_text(encoding="utf-8"))
    name, groups = project["project"]["name"], project["project"]["entry-points"]
    about = tmp_path / "installed" / f"{name.replace('-', '_')}-{project['project']['version']}.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {project['project']['version']}\n")
    parts = [
        f"[{group}]\n" + "".join(f"{it} = {where}\n" for it, where in points.items())
        for group, points in groups.items()
    ]
    (about / "entry_points.txt").write_text("\n".join(parts))
    for module in project["tool"]["setuptools"]["py-modules"]:
        shutil.copy(tmp_path / f"{module}.py", tmp_path / "installed")
    found = {"PYTHONPATH": os.pathsep.join(filter(None, [str(tmp_path / "installed"), os.environ.get("PYTHONPATH")]))}
    listed = json.loads(continual(tmp_path, "ls", "methods", "--format", "json", **found))
    assert {"name": "averaged", "kind": "method", "help": f"of the package {name} 0.1.0", "paper": ""} in listed
    settings = [*small[:1], *small[2:], "tuning=shifted", "tuning.layer=1"]
    continual(tmp_path, "run", "quickstart", "method=averaged", *settings, "--name", "mine", **found)
    summary = json.loads((tmp_path / "runs" / "mine" / "summary.json").read_text(encoding="utf-8"))
    assert summary["aware"]["extra"]["worst"] == min(summary["aware"]["matrix"][-1])
    lines = [
        f"{room} {label} the {label} message {number}"
        for room in ("a", "b")
        for number in range(12)
        for label in ("ham", "spam")
    ]
    (tmp_path / "messages.txt").write_text("\n".join(lines), encoding="utf-8")
    counts = json.loads(
        continual(tmp_path, "validate", "chats.yaml", "plugins=[]", *small[:2], "--format", "json", **found)
    )
    assert [row["task"] for row in counts["tasks"]] == ["a", "b"]


def test_every_group_of_entry_points_is_on_the_page() -> None:
    text = EXTENDING.read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| `(continual\.\w+)` \| .* \| `([\w.]+)` \|$", text, re.MULTILINE))
    for group, place in rows.items():
        module, _, name = place.rpartition(".")
        assert getattr(importlib.import_module(module), name).group == group
    code = "\n".join(
        path.read_text(encoding="utf-8") for path in [*ROOT.glob("continual/**/*.py"), *ROOT.glob("streams/*.py")]
    )
    used = set(re.findall(r'(?:Registry\([^)]*|metrics\()"(continual\.\w+)"', code))
    assert used == set(rows)


def test_sweeps_of_the_page_run(tmp_path: Path) -> None:
    """The first commands, and the example in Python, made small by settings that the page need not show."""
    small = ["stream.train=24", "stream.dev=12", "stream.test=12", "tracking.enabled=false", "threads=1"]
    sweep, compare = (shlex.split(line) for line in code_blocks(SWEEPS, "bash")[0].splitlines())
    python(tmp_path, "-m", *sweep[:3], *small, *sweep[3:])
    printed = python(tmp_path, "-m", *compare)
    for part in ("scratch", "spot", "p over tasks", "figure: first.html"):
        assert part in printed, printed
    assert (tmp_path / "first.html").stat().st_size > 10_000
    (code,) = code_blocks(SWEEPS, "python")
    given = '"tracking.enabled=false"]'
    assert given in code
    lines = python(tmp_path, "-c", code.replace(given, f"*{small}]")).splitlines()
    assert [line.split()[:2] for line in lines[:2]] == [["method=scratch", "finished"], ["method=spot", "finished"]]


def commands() -> list[list[str]]:
    """The words of every `continual` command in the fenced shell code of all pages."""
    blocks = [code.replace("\\\n", " ") for page in PAGES for code in code_blocks(page, "bash")]
    lines = [line for code in blocks for line in code.splitlines()]
    words = [shlex.split(line.split("&&")[-1], comments=True) for line in lines]
    return [line for line in words if line[:1] == ["continual"]]


@pytest.fixture(scope="module")
def with_small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the model `runs/small`, which an earlier command of a page has made, and with plugins."""
    folder = tmp_path_factory.mktemp("with-small")
    (folder / "runs" / "small").mkdir(parents=True)
    (folder / "runs" / "small" / "config.json").write_text('{"model_type": "bert"}', encoding="utf-8")
    extending_files(folder)
    return folder


@pytest.mark.parametrize("words", commands(), ids=" ".join)
def test_commands_are_accepted(words: list[str], with_small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from continual.cli import command
    from continual.config import compose
    from continual.sweep.grid import combinations, parse_axes
    from continual.unread import check_read

    monkeypatch.setenv("CONTINUAL_DATA", "/data/continual")
    monkeypatch.chdir(with_small)
    name, *rest = words[1:]
    chosen = command.commands[name]
    if isinstance(chosen, click.Group):  # pool
        chosen, rest = chosen.commands[rest[0]], rest[1:]
    context = chosen.make_context(name, rest)
    if name in ("run", "validate", "sweep") and not context.params["name"].endswith(".yaml"):
        with forgotten(with_small):  # what the plugins of a page register
            for cell in combinations(parse_axes(context.params["overrides"])):
                words = [f"{key}={value}" for key, value in cell.items()]
                check_read(compose(context.params["name"], words).learner.method["name"], words)


def test_yaml_recipes_give_streams(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from continual.config import from_file
    from streams import build_stream

    monkeypatch.chdir(tmp_path)
    with open("reviews.csv", "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["body", "stars", "category", "language"])
        for category in ("books", "music", "kitchen"):
            writer.writerows(
                [f"{category} {n} of {stars}", stars, category, "en"] for n in range(9) for stars in (1, 5)
            )
    recipes = code_blocks(ROOT / "docs" / "streams.md", "yaml")
    names = []
    for recipe in recipes:
        Path("recipe.yaml").write_text(recipe, encoding="utf-8")
        config = from_file(Path("recipe.yaml"))
        names.append([task.name for task in build_stream(config.stream, config.seed)])
    assert names == [
        ["books", "music", "kitchen"],
        ["kitchen", "harbour", "again", "opposite"],
        ["farm", "market", "dialect"],
        ["shop/music", "shop/books", "made/office"],
    ]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    text = _FENCE.sub("", page.read_text(encoding="utf-8"))
    for link in _LINK.findall(text):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, place = link.partition("#")
        target = (page.parent / unquote(path)).resolve() if path else page
        assert target.exists(), f"{page.name} links to {link}, which does not exist"
        assert not place or place in anchors(target), f"{page.name} links to {link}, but there is no such heading"


def anchors(page: Path) -> set[str]:
    """The names under which the headings of a page can be linked to, as common Markdown renderers make them."""
    text = _FENCE.sub("", page.read_text(encoding="utf-8"))
    titles = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def test_every_page_of_docs_is_linked_from_the_readme() -> None:
    linked = set(_LINK.findall(README.read_text(encoding="utf-8")))
    assert {f"docs/{page.name}" for page in (ROOT / "docs").glob("*.md")} <= linked


def test_configuration_is_what_the_code_says() -> None:
    file = ROOT / "scripts" / "write_configuration.py"
    spec = importlib.util.spec_from_file_location("write_configuration", file)
    assert spec is not None
    assert spec.loader is not None
    script = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = script  # dataclasses look their module up
    try:
        spec.loader.exec_module(script)
        text = script.PAGE.read_text(encoding="utf-8")
        assert script.page(text) == text, "run: python scripts/write_configuration.py"
    finally:
        del sys.modules[spec.name]
    assert not re.search(r"\|\s*\|$", text, re.MULTILINE), "a setting has no help text"


def test_registered_names_are_documented() -> None:
    """A method, tuning or metric that nobody explains is not finished."""
    from continual.methods import METHODS
    from continual.transfer import TRANSFERABILITY
    from continual.tuning import TUNINGS

    text = (ROOT / "docs" / "methods.md").read_text(encoding="utf-8")
    names = [name for registry in (METHODS, TUNINGS, TRANSFERABILITY) for name in registry.names()]
    assert [name for name in names if f"`{name}`" not in text] == []


def test_named_streams_and_stream_metrics_are_documented() -> None:
    from continual.composing import names_in
    from continual.evaluation.stream_metrics import STREAM_METRICS

    streams = (ROOT / "docs" / "streams.md").read_text(encoding="utf-8")
    assert [name for name in names_in("stream") if f"`{name}`" not in streams] == []
    concepts = (ROOT / "docs" / "concepts.md").read_text(encoding="utf-8")
    assert [name for name in STREAM_METRICS if f"| {name} |" not in concepts] == []

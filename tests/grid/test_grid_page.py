"""The page of a grid: complete, escaped, and never wider than the screen."""

import dataclasses
import re
import shutil
import subprocess

import pytest
from made_up_grids import make_measured

from continual.grid.findings import findings
from continual.grid.page import render_grid

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
SOURCES = tuple(f"text/source-{number}" for number in range(8))
TARGETS = ("text/source-0", *(f"rumor/target-{number}" for number in range(4)))


def page(measured):
    return render_grid(measured, findings(measured), "my <grid>")


def test_has_every_map_and_escapes_names():
    measured = make_measured(("a", "b<i>", "c"), ("x", "a"), seeds=(0, 1))
    html = page(measured)
    assert "b&lt;i&gt;" in html
    assert "b<i>" not in html
    assert "my &lt;grid&gt;" in html
    titles = re.findall(r"<figcaption>([^<]*)</figcaption>", html)
    assert titles == [
        "Spearman&#39;s correlation with the first epoch",
        "Vanilla transfer after the first epoch, accuracy on dev",
        "Vanilla transfer, gain over scratch on dev",
        "PANDA, gain over scratch on dev",
        "Vanilla transfer, gain over scratch on test",
        "PANDA, gain over scratch on test",
        "panda: predicted transferability",
        "on: predicted transferability",
    ]
    assert html.count("PANDA above scratch") == 1
    assert html.count("Vanilla transfer below scratch") == 1
    assert "from scratch" in html
    assert "PANDA distilled 10 of 10 transfers." in html


def test_says_where_panda_distilled_nothing():
    measured = make_measured(("a", "b"), ("x",))
    measured.pairs[0] = dataclasses.replace(measured.pairs[0], distilled=False)
    assert "PANDA distilled 1 of 2 transfers; where it was given no weight" in page(measured)


def test_an_unfinished_grid_is_drawn_too():
    html = page(make_measured(("a",), ("x",), own=[], pairs=[], finished=False))
    assert "No transfer is measured yet" in html
    assert "not finished" in html


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium on the PATH; install it (Debian: apt install chromium)")
@pytest.mark.parametrize("width", [1280, 390])
def test_is_drawn(tmp_path, width):
    probe = (
        "<script>addEventListener('load', () => { document.body.dataset.over = "
        "document.documentElement.scrollWidth - document.documentElement.clientWidth; });</script>"
    )
    file = tmp_path / "grid.html"
    html = page(make_measured(SOURCES, TARGETS, (0, 1, 2)))
    file.write_text(html.replace("</body>", f"{probe}</body>"), encoding="utf-8")
    command = [
        CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--enable-logging=stderr",
        f"--user-data-dir={tmp_path / 'profile'}", f"--window-size={width},900", "--dump-dom", file.as_uri(),
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    assert [line for line in done.stderr.splitlines() if "CONSOLE" in line] == []
    found = re.search(r'data-over="(-?\d+)"', done.stdout)
    assert found
    assert int(found[1]) <= 0, "the page is wider than the screen"

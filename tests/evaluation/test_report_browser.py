"""The report in a real browser: drawn, silent, and never wider than the screen."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from made_up_runs import CONFIG, make_summary

from continual.evaluation.report import render_report

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)

pytestmark = pytest.mark.skipif(
    CHROMIUM is None, reason="no chromium on the PATH; install it (Debian: apt install chromium)"
)

# Says what the page looks like from inside: its width, how many drawings have a size, what a click shows.
_PROBE = """<script>
addEventListener("load", () => {
  const facts = {};
  facts.overflow = document.documentElement.scrollWidth - document.documentElement.clientWidth;
  const charts = [...document.querySelectorAll(".chart")];
  facts.flat = charts.filter((it) => it.getBoundingClientRect().height < 20).length;
  facts.charts = charts.length;
  const panels = [...document.querySelectorAll(".switch .panel")];
  const shown = () => panels.map((it) => it.offsetHeight > 0 ? 1 : 0).join("");
  facts.first = shown();
  const second = document.querySelector("#map1");
  if (second) { second.click(); facts.second = shown(); }
  const cell = document.querySelector("[data-tip]");
  if (cell) {
    cell.dispatchEvent(new PointerEvent("pointermove", {bubbles: true, clientX: 5, clientY: 5}));
    facts.tip = document.getElementById("tip").textContent;
  }
  document.body.dataset.facts = JSON.stringify(facts);
});
</script>"""


def _open(html: str, folder: Path, width: int) -> tuple[str, str]:
    """The document after its scripts ran, and what was written to the console."""
    page = folder / "report.html"
    page.write_text(html, encoding="utf-8")
    command = [
        CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-sync",
        "--disable-background-networking", "--disable-component-update", "--enable-logging=stderr",
        f"--user-data-dir={folder / 'profile'}", f"--window-size={width},900", "--dump-dom", page.as_uri(),
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    console = [line for line in done.stderr.splitlines() if "CONSOLE" in line]
    return done.stdout, "\n".join(console)


def _facts(dom: str) -> dict:
    import html
    import json

    found = re.search(r'data-facts="([^"]*)"', dom)
    assert found, "the page did not load"
    return json.loads(html.unescape(found[1]))


@pytest.mark.parametrize(
    ("tasks", "learned", "width", "charts", "switches"),
    [(7, 7, 1280, 22, 4), (15, 15, 390, 46, 4), (1, 1, 390, 4, 4), (7, 0, 500, 0, 4)],
)
def test_is_drawn(tmp_path: Path, tasks: int, learned: int, width: int, charts: int, switches: int) -> None:
    summary = make_summary(tuple(f"{'name-' * tasks}{index}" for index in range(tasks)), learned)
    html = render_report(summary.to_dict(), CONFIG)
    dom, console = _open(html.replace("</body>", f"{_PROBE}</body>"), tmp_path, width)
    facts = _facts(dom)
    assert console == ""
    assert facts["overflow"] <= 0, "the page is wider than the screen"
    assert (facts["charts"], facts["flat"]) == (charts, 0)
    assert facts["first"] == "1" + "0" * (switches - 1)
    assert facts["second"] == "01" + "0" * (switches - 2)
    assert facts["tip"]


def test_hostile_names_run_nothing(tmp_path: Path) -> None:
    evil = "<img src=x onerror=\"document.title='owned'\"><script>document.title='owned'</script>"
    summary = make_summary((evil, "b"), run=evil, notes=[evil])
    dom, console = _open(render_report(summary.to_dict(), {evil: evil}), tmp_path, 800)
    assert "<title>owned" not in dom
    assert console == ""


def test_the_console_would_tell(tmp_path: Path) -> None:
    """The silence above means something: a script error and a blocked request are both heard."""
    html = render_report(make_summary(("a",)).to_dict(), {})
    broken = html.replace("</body>", "<script>nothing.here()</script><img src='https://example.invalid/x.png'></body>")
    _, console = _open(broken, tmp_path, 800)
    assert "nothing is not defined" in console
    assert "Content Security Policy" in console

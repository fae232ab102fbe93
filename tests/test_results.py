"""The numbers of the README are those of the committed results."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent


def test_the_tables_of_the_readme_are_current():
    result = subprocess.run(
        [sys.executable, str(ROOT / "scripts" / "write_results.py"), "--check"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr

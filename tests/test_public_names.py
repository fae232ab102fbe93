"""What `continual` and `streams` export: three lists each, which say the same, and names that are there."""

import ast
import importlib
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGES = ("continual", "streams")
USED_IN_PYTHON = (
    "Learned Lesson Method LearnerSettings TrainingConfig TransferConfig RoutingConfig Run compose open_backbone "
    "open_learner ConfigError UserError"
)


def imported_for_type_checkers(package: str) -> dict[str, str]:
    """Names and their modules, as the block under `if TYPE_CHECKING` imports them."""
    tree = ast.parse(Path(importlib.import_module(package).__file__).read_text(encoding="utf-8"))
    (block,) = (node for node in tree.body if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING")
    return {alias.name: node.module for node in block.body for alias in node.names}


@pytest.mark.parametrize("package", PACKAGES)
def test_the_three_lists_agree(package):
    module = importlib.import_module(package)
    own = {"__version__"} & set(module.__all__)
    homes = {name: home if home.startswith(package) else f"{package}.{home}" for name, home in module._HOMES.items()}
    assert imported_for_type_checkers(package) == homes
    assert set(module.__all__) == {*homes, *own}
    assert sorted(dir(module)) == sorted(module.__all__)


@pytest.mark.parametrize("package", PACKAGES)
def test_every_name_is_there(package):
    module = importlib.import_module(package)
    assert all(getattr(module, name) is not None for name in module.__all__)
    with pytest.raises(AttributeError, match="has no attribute 'Lerner'"):
        module.Lerner  # noqa: B018


def test_what_programs_need_is_exported():
    import continual

    assert set(USED_IN_PYTHON.split()) <= set(continual.__all__)


@pytest.mark.parametrize("package", PACKAGES)
def test_importing_a_package_loads_none_of_its_modules(package):
    code = f"import sys, {package}; print([name for name in sys.modules if name.startswith('{package}.')])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"

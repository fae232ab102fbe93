"""Imports: of every module alone, and of transformers beside a torchvision whose operators do not load."""

import importlib.util
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from continual._torchvision import _operators_load, declare_missing_operators

ROOT = Path(__file__).resolve().parent.parent

DECLARED = """
from continual._torchvision import declare_missing_operators
first = declare_missing_operators()
assert declare_missing_operators() == first
import torch, torchvision
from transformers import BertModel
assert torch.ops.torchvision.nms
print(first)
"""


def python(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *arguments], capture_output=True, text=True, cwd=ROOT)


def test_every_module_can_be_imported_alone():
    result = python("scripts/check_imports.py")
    assert result.returncode == 0, result.stdout + result.stderr


def test_transformers_can_be_imported_and_operators_are_declared_only_where_needed():
    plain, declared = python("-c", "import torchvision"), python("-c", DECLARED)
    assert declared.returncode == 0, declared.stderr
    assert declared.stdout.strip() == str(plain.returncode != 0)


def test_nothing_is_declared_where_torchvision_is_imported_already(monkeypatch):
    monkeypatch.setitem(sys.modules, "torchvision", object())
    assert declare_missing_operators.__wrapped__() is False


def test_nothing_is_declared_where_torchvision_is_absent(monkeypatch):
    monkeypatch.delitem(sys.modules, "torchvision", raising=False)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert declare_missing_operators.__wrapped__() is False


@pytest.mark.parametrize("operators", ["sound", "damaged", "missing"])
def test_operators_that_load_are_left_alone(tmp_path, operators):
    """A shared library that loads counts as sound, anything else does not."""
    from safetensors import _safetensors_rust

    if operators == "sound":
        shutil.copy(_safetensors_rust.__file__, tmp_path / "_C.so")
    elif operators == "damaged":
        (tmp_path / "_C.so").write_bytes(b"\x7fELF nonsense")
    assert _operators_load(tmp_path) is (operators == "sound")

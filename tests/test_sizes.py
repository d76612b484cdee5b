"""Files stay short enough to read at once; functions are measured by ruff (PLR0915, C901)."""

import pytest

from tests.conftest import ROOT

LINES = 300
FOLDERS = ("tokenhmr", "tokenizer_train", "tests", "benchmarks")
FILES = sorted(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_a_file_fits_in_three_hundred_lines(path):
    assert len(path.read_text(encoding="utf-8").splitlines()) <= LINES


def test_assets_stay_small():
    weight = sum(path.stat().st_size for path in (ROOT / "tokenhmr" / "assets").rglob("*") if path.is_file())
    assert weight < 40e6, f"assets weigh {weight / 1e6:.0f} MB"

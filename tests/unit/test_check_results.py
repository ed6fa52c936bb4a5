"""What ``check_results`` says of a folder that holds nothing to check."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from frontalbench.commands import check_results


def test_a_folder_without_a_table_is_not_called_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["check_results.py", "--results", str(tmp_path)])
    assert check_results.main() == 0
    assert "no table is here" in capsys.readouterr().err

"""``docs/your-own-model.md``, run as a newcomer would: its Python and commands, in their order."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from pocketfed import cli

PAGE = Path(__file__).parents[1] / "docs" / "your-own-model.md"
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
# The pretrained weights lie on a server of Keras's; the page's figures do not depend on them.
OFFLINE = ('weights="imagenet"', "weights=None")


def run_command(line: str) -> None:
    """One line of a shell block; a running server's checkpoint is the artifact's first one."""
    words = line.split()
    if words[:3] == ["pocketfed", "task", "checkpoint"]:
        shutil.copy("build/mine/checkpoint.safetensors", "mine.safetensors")
    elif words[:2] != ["pocketfed", "task"]:
        assert cli.main(words) == 0, line


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
def test_the_page_about_your_own_model_runs_and_prints_what_it_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {"__name__": "page"}
    blocks = BLOCK.findall(PAGE.read_text())
    assert {language for language, _ in blocks} == {"python", "text", ""}
    for language, text in blocks:
        if language == "python":
            capsys.readouterr()
            exec(compile(text.replace(*OFFLINE), PAGE.name, "exec"), names)
        elif language == "text":
            assert capsys.readouterr().out == text
        else:
            for line in text.splitlines():
                run_command(line)
    assert Path("trained.keras").is_file()

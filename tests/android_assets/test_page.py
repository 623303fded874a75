"""What ``docs/android.md`` tells an app's author to write exists; Maven's ``page`` runs it."""

import re
import shlex
from pathlib import Path

import pytest
from absl import flags
from pocketfed.cli.commands import COMMANDS
from pocketfed.cli.flags.holding import holder

ROOT = Path(__file__).parents[2]
ANDROID = ROOT / "android_assets"
PAGE = (ROOT / "docs" / "android.md").read_text()
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


def blocks(language: str) -> list[str]:
    """The blocks of a language, in their order."""
    return [text for kind, text in BLOCKS if kind == language]


def head_of(block: str) -> str:
    """The file that the first line of a block names."""
    return block.split()[1].rstrip(",")


KOTLIN = {head_of(block): block for block in blocks("kotlin") if head_of(block).endswith(".kt")}
COMMAND_LINES = [
    line for block in blocks("sh") for line in block.splitlines() if line.startswith("pocketfed ")
] + re.findall(r"`(pocketfed [^`]+)`", PAGE)
IMPORTS = sorted(set(re.findall(r"^import (dev\.pocketfed\.\S+)$", PAGE, re.MULTILINE)))


def test_every_block_names_its_language() -> None:
    assert {language for language, _ in BLOCKS} == {"python", "sh", "kotlin"}
    assert PAGE.count("```") == 2 * len(BLOCKS)


@pytest.mark.parametrize("line", COMMAND_LINES)
def test_a_command_of_the_page_is_one(line: str) -> None:
    words = shlex.split(line)[1:]
    name = next(name for size in (2, 1) if (name := " ".join(words[:size])) in COMMANDS)
    values = holder(COMMANDS[name].groups)
    try:
        rest = values([name, *words[len(name.split()) :]])[1:]
    except flags.Error as error:
        pytest.fail(f"{line}: {error}")
    assert len(rest) == len([word for word in COMMANDS[name].arguments.split() if word.isupper()])


def test_the_kotlin_of_the_page_is_compiled_by_the_build() -> None:
    pom = (ANDROID / "host" / "page" / "pom.xml").read_text()
    assert set(re.findall(r'<cut file="([^"]+)"/>', pom)) == set(KOTLIN)


@pytest.mark.parametrize("name", IMPORTS)
def test_what_the_page_imports_is_in_the_library(name: str) -> None:
    package, _, simple = name.rpartition(".")
    found = [
        path
        for path in (ANDROID / "library" / "src").glob("*/kotlin/**/*.kt")
        if re.search(rf"^package {re.escape(package)}$", (text := path.read_text()), re.MULTILINE)
        and re.search(rf"^public .*\b(class|object|interface|fun) {simple}\b", text, re.MULTILINE)
    ]
    assert len(found) == 1

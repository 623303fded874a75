"""``pocketfed android`` on the command line."""

from pathlib import Path

import pytest
from pocketfed import cli
from pocketfed.protocol.artifact import Artifact


def run(*words: str) -> int:
    return cli.main(["pocketfed", "android", *words])


def test_an_artifact_is_laid_once_and_then_lies_there(
    artifact: Artifact, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = (f"--artifact={artifact.folder}", f"--out={tmp_path}")
    assert run(*words) == 0
    assert capsys.readouterr().out.endswith(" bytes, laid\n")
    assert run(*words) == 0
    assert capsys.readouterr().out.endswith(" bytes, was there already\n")
    assert (tmp_path / "pocketfed" / artifact.manifest.name / "model.tflite").is_file()


@pytest.mark.slow
def test_a_model_of_the_zoo_is_exported_first(tmp_path: Path) -> None:
    assert run("--zoo=mnist_2nn", f"--out={tmp_path}") == 0
    assert (tmp_path / "pocketfed" / "mnist_2nn" / "model.tflite").is_file()


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--artifact=x"], "--out is missing"),
        (["--out=x"], "expected one of --artifact=DIR and --zoo=NAME"),
        (["--out=x", "--artifact=x", "--zoo=y"], "expected one of --artifact=DIR and --zoo=NAME"),
    ],
)
def test_wrong_usage_is_told(
    words: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(*words) == 2
    assert sentence in capsys.readouterr().err


def test_a_folder_without_an_artifact_is_a_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(f"--artifact={tmp_path}", f"--out={tmp_path}") == 1
    assert "is not an artifact" in capsys.readouterr().err

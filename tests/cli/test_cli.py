"""The command line: exit codes, one clear sentence, and absl's flags."""

import subprocess
import sys
from pathlib import Path

import pytest
from pocketfed import __version__, cli
from pocketfed.cli.commands import COMMANDS


def run(*words: str) -> int:
    return cli.main(["pocketfed", *words])


def test_without_words_it_lists_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert run() == 0
    shown = capsys.readouterr().out
    assert [name for name in COMMANDS if name not in shown] == []


def test_the_version_is_the_package_s(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--version") == 0
    assert capsys.readouterr().out == f"pocketfed {__version__}\n"


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_itself(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(*name.split(), "--help") == 0
    shown = capsys.readouterr().out
    assert shown.startswith(f"usage: pocketfed {name}")
    assert max(map(len, shown.splitlines())) <= 100


def test_helpfull_shows_the_flags_of_absl_too(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("verify", "--helpfull") == 0
    assert "--verbosity" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["fly"], "there is no command 'fly'; see pocketfed --help"),
        (["task"], "task list, task status, task funnel, task checkpoint, task stop"),
        (["task", "destroy"], "use one of: task create"),
        (["verify"], "got nothing, expected DIR"),
        (["verify", "a", "b"], "got a b, expected DIR"),
        (["task", "rollback", "digits"], "--version is missing"),
        (["evaluate", "--artifact=x"], "--task is missing"),
        (["serve", "now"], "expected no arguments"),
        (["export", "mnist_2nn"], "--out is missing"),
        (["demo", "--phone=3"], "Unknown command line flag 'phone'"),
        (["demo", "--out=x", "--phones=none"], "flag --phones=none"),
    ],
)
def test_wrong_usage_is_exit_code_2_and_a_sentence(
    words: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(*words) == 2
    shown = capsys.readouterr()
    assert sentence in shown.err
    assert shown.out == ""


def test_a_failure_is_exit_code_1_and_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("verify", str(tmp_path)) == 1
    shown = capsys.readouterr().err
    assert "is not an artifact: it has no manifest.json" in shown
    assert len(shown.splitlines()) == 1


def test_debug_shows_where_a_failure_came_from(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("verify", str(tmp_path), "--debug") == 1
    assert "Traceback" in capsys.readouterr().err


def test_a_flagfile_holds_flags(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "flags").write_text("--server=http://127.0.0.1:9\n--admin_token=secret\n")
    assert run("task", "list", f"--flagfile={tmp_path / 'flags'}") == 1
    assert "http://127.0.0.1:9 did not answer" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "address"), [([], "http://127.0.0.1:9"), (["--server=http://127.0.0.1:7"], ":7")]
)
def test_the_environment_names_the_server_unless_a_flag_does(
    words: list[str],
    address: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("POCKETFED_SERVER", "http://127.0.0.1:9")
    assert run("task", "list", "--admin_token=secret", *words) == 1
    assert f"{address} did not answer" in capsys.readouterr().err


def test_an_operator_without_a_token_is_told_where_it_is(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("POCKETFED_ADMIN_TOKEN", raising=False)
    assert run("task", "list") == 1
    assert "the server keeps it in admin.token" in capsys.readouterr().err


def test_plan_and_settings_flags_are_checked_like_the_records(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from pocketfed.cli.flags import groups
    from pocketfed.cli.flags.holding import holder
    from pocketfed.cli.flags.reading import plan_of, settings_of
    from pocketfed.protocol.plan import Plan, RetryWindow, RoundSettings

    values = holder((groups.plan, groups.rounds))
    values(["x", "--epochs=3", "--goal=7", "--retry_s=1,2.5", "--codecs=int8+zstd,float32"])
    assert plan_of(values, default=Plan(learning_rate=0.5)) == Plan(epochs=3, learning_rate=0.5)
    settings = settings_of(values, default=RoundSettings())
    assert (settings.goal, settings.retry) == (7, RetryWindow(min_s=1.0, max_s=2.5))
    assert settings.codecs == ("int8+zstd", "float32")


def test_evaluation_by_devices_is_off_until_it_is_asked_for() -> None:
    from pocketfed.cli.flags import groups
    from pocketfed.cli.flags.holding import holder
    from pocketfed.cli.flags.reading import settings_of
    from pocketfed.protocol.plan import EvaluationSettings, RoundSettings

    for words, expected in (
        ([], None),
        (["--evaluate_every=2"], EvaluationSettings(every=2)),
        (["--evaluate_every=2", "--evaluate_goal=3"], EvaluationSettings(every=2, goal=3)),
    ):
        values = holder((groups.rounds,))
        values(["x", *words])
        assert settings_of(values, default=RoundSettings()).evaluation == expected


@pytest.mark.parametrize(
    ("flag", "sentence"),
    [
        ("--goal=0", "RoundSettings.goal"),
        ("--retry_s=1", "retry_s"),
        ("--retry_s=2,1", "retry"),
        ("--codecs=int9", "no codec 'int9'"),
        ("--codecs=", r"RoundSettings.codecs"),
        ("--evaluate_goal=3", "evaluate_every"),
    ],
)
def test_settings_out_of_range_name_the_setting(flag: str, sentence: str) -> None:
    from pocketfed.cli.flags import groups
    from pocketfed.cli.flags.holding import holder
    from pocketfed.cli.flags.reading import settings_of
    from pocketfed.protocol.errors import PocketFedError
    from pocketfed.protocol.plan import RoundSettings

    values = holder((groups.rounds,))
    values(["x", flag])
    with pytest.raises(PocketFedError, match=sentence):
        settings_of(values, default=RoundSettings())


def test_a_missing_extra_is_named(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in sys.modules if name.startswith("pocketfed.server")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "flask", None)
    assert run("serve") == 1
    assert capsys.readouterr().err == (
        "pocketfed serve: this needs flask: pip install 'pocketfed[server]'\n"
    )


def test_a_server_starts_without_what_most_of_its_starts_do_not_use() -> None:
    slow = "{'alembic', 'httpx', 'joserfc', 'psycopg', 'boto3', 'tensorflow'}"
    code = (
        "import sys, pocketfed.cli, pocketfed.server.running.serve; "
        f"print({slow} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout == "set()\n", done.stderr

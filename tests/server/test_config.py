"""Settings come from flags, environment and defaults, and say what is wrong with them."""

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest
from pocketfed.protocol.errors import ConfigError
from pocketfed.server import SETTINGS, Config, create_app, wsgi
from pocketfed.server.config import load, table
from pocketfed.server.running.coordinate import coordinate
from pocketfed.server.running.folder import DataFolder

DOCS = Path(__file__).parents[2] / "docs"


def test_a_flag_beats_the_environment_which_beats_the_default() -> None:
    environment = {"POCKETFED_PORT": "81", "POCKETFED_TICK_S": "2.5"}
    config = load(flags={"port": "82", "tick_s": None}, environment=environment)
    assert (config.port, config.tick_s, config.threads) == (82, 2.5, 8)


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("port", "high"),
        ("port", "70000"),
        ("tick_s", "0"),
        ("coordinator", "cron"),
        ("max_blob_bytes", "-1"),
        ("min_free_bytes", "-1"),
        ("sweep_s", "0"),
        ("presign", "True"),
        ("admin_token", "schlüssel"),
        ("database", "mysql:"),
        ("lease_s", "0"),
        ("workers", "-1"),
    ],
)
def test_a_bad_value_names_setting_and_value(setting, value) -> None:
    with pytest.raises(ConfigError, match=f"^{setting}=.*{value}.*: expected"):
        load(flags={setting: value}, environment={})


@pytest.mark.parametrize(("text", "value"), [("on", True), ("off", False)])
def test_a_switch_is_on_or_off(text, value) -> None:
    assert load(flags={"presign": text}, environment={}).presign is value


POSTGRESQL = "postgresql+psycopg://host/name"


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"workers": 2}, "workers=2: several processes need PostgreSQL"),
        ({"coordinator": "none"}, "coordinator='none': nobody else can move rounds on"),
        ({"workers": 1, "database": POSTGRESQL}, "with workers set coordinator=none"),
        (
            {"workers": 1, "database": POSTGRESQL, "coordinator": "inline"},
            "with workers set coordinator=none",
        ),
    ],
)
def test_settings_that_do_not_fit_together_are_refused(tmp_path, changes, sentence) -> None:
    with pytest.raises(ConfigError, match=sentence):
        Config(data_dir=tmp_path, **changes)


def test_a_refused_database_does_not_show_its_password(tmp_path) -> None:
    with pytest.raises(ConfigError) as caught:
        Config(data_dir=tmp_path, database="mysql://user:secret@host/name")
    assert "secret" not in str(caught.value)


def test_an_application_for_gunicorn_is_refused_a_thread_that_would_not_run(monkeypatch) -> None:
    monkeypatch.setenv("POCKETFED_COORDINATOR", "thread")
    with pytest.raises(ConfigError, match="run `pocketfed coordinate`"):
        wsgi.app()


def test_a_coordinator_of_its_own_is_refused_on_sqlite(tmp_path) -> None:
    with pytest.raises(ConfigError, match="needs PostgreSQL"):
        coordinate(Config(data_dir=tmp_path))


def test_the_table_and_the_record_of_settings_agree() -> None:
    defaults = {setting.name: setting.default for setting in SETTINGS}
    config = Config(data_dir=defaults["data_dir"])
    assert {name: getattr(config, name) for name in defaults} == defaults
    assert set(defaults) == set(Config.__dataclass_fields__)


def test_the_docs_hold_the_table_of_settings_as_it_is() -> None:
    assert table() in (DOCS / "server.md").read_text()


def test_a_folder_that_another_server_uses_is_refused(server) -> None:
    with pytest.raises(ConfigError, match="another server runs on this folder"):
        create_app(Config(data_dir=server.data))


def test_a_folder_is_free_again_after_close(server) -> None:
    server.restart()
    assert server.http.get("/healthz").status_code == 200


def test_processes_share_a_folder_that_an_embedded_server_then_cannot_have(tmp_path) -> None:
    shared = [DataFolder.claim(tmp_path, is_shared=True) for _ in range(2)]
    shared[0].release()
    with pytest.raises(ConfigError, match="another server runs on this folder"):
        DataFolder.claim(tmp_path)
    shared[1].release()
    DataFolder.claim(tmp_path).release()


def test_processes_that_make_the_admin_token_at_once_agree_on_it(tmp_path) -> None:
    folders = [DataFolder.claim(tmp_path, is_shared=True) for _ in range(8)]
    together = Barrier(len(folders))

    def token(folder) -> str:
        together.wait(10.0)
        return folder.admin_token(os.urandom)

    with ThreadPoolExecutor(len(folders)) as pool:
        tokens = set(pool.map(token, folders))
    assert tokens == {(tmp_path / "admin.token").read_text().strip()}
    assert {path.name for path in tmp_path.iterdir()} == {"lock", "admin.token"}
    for folder in folders:
        folder.release()


def test_a_folder_that_cannot_be_made_is_refused(tmp_path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match=r"data_dir=.*cannot be used"):
        create_app(Config(data_dir=tmp_path / "file" / "data"))


def test_the_admin_token_is_made_once_and_only_its_owner_may_read_it(server) -> None:
    path = server.data / "admin.token"
    assert path.stat().st_mode & 0o777 == 0o600
    assert len(bytes.fromhex(path.read_text())) == 32
    before = server.server.admin_token
    server.restart()
    assert server.server.admin_token == before


def test_a_given_admin_token_is_used_and_not_written_down(rehearse) -> None:
    server = rehearse(admin_token="given")
    assert server.admin.tasks().tasks == ()
    assert not (server.data / "admin.token").exists()

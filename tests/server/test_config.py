"""Settings come from flags, environment and defaults, and say what is wrong with them."""

from pathlib import Path

import pytest
from pocketfed.protocol.errors import ConfigError
from pocketfed.server import SETTINGS, Config, create_app
from pocketfed.server.config import load, table

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
    ],
)
def test_a_bad_value_names_setting_and_value(setting, value) -> None:
    with pytest.raises(ConfigError, match=f"^{setting}=.*{value}.*: expected"):
        load(flags={setting: value}, environment={})


@pytest.mark.parametrize(("text", "value"), [("on", True), ("off", False)])
def test_a_switch_is_on_or_off(text, value) -> None:
    assert load(flags={"presign": text}, environment={}).presign is value


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

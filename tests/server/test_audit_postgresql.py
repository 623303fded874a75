"""The audit reads what servers on PostgreSQL have left, and finds what is wrong there too."""

import pytest
from pocketfed import cli
from pocketfed.protocol.errors import ConfigError
from pocketfed.server import Config
from pocketfed.server.operating.audit import audit
from pocketfed.server.running.folder import DataFolder
from sqlalchemy import create_engine, text

KEEP_S = 500.0


@pytest.fixture
def database(postgresql):
    return postgresql


@pytest.fixture
def left(rehearse):
    """What a server leaves: a round committed, one abandoned, one under way."""
    server = rehearse(keep_updates_s=KEEP_S)
    server.create_task(goal=1, max_update_norm=3.0)
    server.phone().serve(server.delta(0.5))
    server.phone().serve(server.delta(1.0))
    server.phone().check_in()
    server.stop()
    yield server
    server.start()


def config_of(server, database=None):
    return Config(data_dir=server.data, database=database or server.database, keep_updates_s=KEEP_S)


def run(server):
    words = [f"--data_dir={server.data}", f"--database={server.database}"]
    return cli.main(["pocketfed", "audit", *words, f"--keep_updates_s={KEEP_S}"])


def test_nothing_is_wrong_with_what_a_server_on_postgresql_leaves(left, capsys) -> None:
    assert run(left) == 0
    assert "checkpoints equal their recomputation" in capsys.readouterr().out
    findings = audit(config_of(left))
    assert [one.violations for one in findings] == [()] * len(findings)
    assert all(one.count for one in findings)


def test_an_audit_changes_nothing_in_the_database(left) -> None:
    before = left.everything()
    audit(config_of(left))
    assert left.everything() == before


def test_a_violation_in_postgresql_is_found(left, capsys) -> None:
    engine = create_engine(left.database)
    with engine.begin() as connection:
        connection.execute(text("DELETE FROM contributions"))
    engine.dispose()
    assert run(left) == 1
    assert "is in 0 manifests" in capsys.readouterr().out


def test_servers_that_share_a_folder_are_left_alone(rehearse) -> None:
    with pytest.raises(ConfigError, match="a server runs"):
        audit(config_of(rehearse()))


def test_no_server_shares_the_folder_with_an_audit(left) -> None:
    folder = DataFolder.borrow(left.data, is_shared=True)
    with pytest.raises(ConfigError, match="another server"):
        DataFolder.claim(left.data, is_shared=True)
    folder.release()


def test_a_database_without_tables_is_refused(left, cluster) -> None:
    empty = cluster.create(template="template1")
    with pytest.raises(ConfigError, match="another version"):
        audit(config_of(left, empty))
    cluster.drop(empty)


def test_a_database_that_does_not_answer_is_refused_and_its_password_not_shown(left) -> None:
    nowhere = "postgresql+psycopg://someone:secret@/none?host=/nowhere"
    with pytest.raises(ConfigError, match="cannot be read") as caught:
        audit(config_of(left, nowhere))
    assert "secret" not in str(caught.value)

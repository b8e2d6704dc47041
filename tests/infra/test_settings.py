"""What a machine is told: `.env` written and read, and no secret where it does not belong."""

from __future__ import annotations

import ast
import os
import re
import stat
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import pytest

from agents.connections import Connections, ConnectionsMissing
from infra.env_file import write_env
from infra.services.ports import is_free, pick_free_port
from infra.settings import Settings, SettingsError, fill_in

ROOT = Path(__file__).resolve().parents[2]
THEIRS = "mongodb://me:hunter2@db.example:27017/?authSource=admin"
INTERNAL = {"PROSTHETICS_SUPERVISED", "RCLONE_AUTH_KEY", "PATH", "HOME", "TMPDIR", "TZ"}
"""Not settings: between our own processes, or the system's."""


@pytest.fixture
def env_file(tmp_path: Path) -> Path:
    return tmp_path / ".env"


def test_the_first_start_gives_both_services_a_server_here(env_file: Path) -> None:
    made = fill_in(env_file, {})
    assert made.local == ("mongod", "s3")
    assert stat.S_IMODE(env_file.stat().st_mode) == 0o600
    port, user, password = made.mongod_address()
    assert is_free(port)
    assert is_free(made.s3_port())
    assert port != made.s3_port()
    bucket, key, secret, region = made.s3_credentials()
    assert min(len(password), len(secret)) >= 32
    assert (user, bucket, region) == ("prosthetics", "prosthetics", "us-east-1")
    assert len(key) >= 19
    assert Settings.read(env_file, {}) == made


def test_two_machines_get_other_secrets(tmp_path: Path) -> None:
    one, other = fill_in(tmp_path / "a.env", {}), fill_in(tmp_path / "b.env", {})
    assert one.mongod_address()[2] != other.mongod_address()[2]
    assert set(one.s3_credentials()[1:3]).isdisjoint(other.s3_credentials()[1:3])


def test_the_second_start_writes_nothing(env_file: Path) -> None:
    fill_in(env_file, {})
    before = env_file.stat()
    fill_in(env_file, {})
    after = env_file.stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_two_first_starts_at_once_end_with_the_same_settings(env_file: Path) -> None:
    with ThreadPoolExecutor(8) as many:
        found = list(many.map(lambda _: fill_in(env_file, {}), range(8)))
    assert all(settings == found[0] for settings in found)


def test_the_users_lines_stay(env_file: Path) -> None:
    env_file.write_text("# mine\nexport S3_BUCKET=\n\nOTHER='a b'\nMONGODB_URI=\nDATA_DIR=here")
    env_file.chmod(0o644)
    made = fill_in(env_file, {})
    lines = env_file.read_text().splitlines()
    assert lines[:6] == [
        "# mine",
        "S3_BUCKET=prosthetics",
        "",
        "OTHER='a b'",
        f"MONGODB_URI={made.values['MONGODB_URI']}",
        "DATA_DIR=here",
    ]
    assert len([line for line in lines if line.startswith("MONGODB_URI=")]) == 1
    assert stat.S_IMODE(env_file.stat().st_mode) == 0o600
    assert list(env_file.parent.iterdir()) == [env_file], "no temporary file is left"


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "real").write_text("A=1\n")
    (tmp_path / ".env").symlink_to(tmp_path / "real")
    write_env(tmp_path / ".env", {"B": "2"})
    assert (tmp_path / ".env").is_symlink()
    assert (tmp_path / "real").read_text().startswith("A=1\n")


def test_what_the_shell_would_read_differently_is_refused(env_file: Path) -> None:
    with pytest.raises(SettingsError, match="value of SECRET") as caught:
        write_env(env_file, {"SECRET": "a$b c"})
    assert "a$b" not in str(caught.value)
    assert not env_file.exists()


def test_a_service_that_the_user_names_is_theirs(env_file: Path) -> None:
    made = fill_in(env_file, {"MONGODB_URI": THEIRS})
    assert made.local == ("s3",)
    assert "MONGODB_URI" not in env_file.read_text()
    assert "hunter2" not in env_file.read_text()


def test_the_real_environment_wins(env_file: Path) -> None:
    fill_in(env_file, {})
    settings = Settings.read(env_file, {"MONGODB_URI": THEIRS, "AWS_DEFAULT_REGION": ""})
    assert settings.values["MONGODB_URI"] == THEIRS
    assert settings.local == ("s3",), "the mongod that .env describes is not in use"
    assert settings.values["AWS_DEFAULT_REGION"] == "us-east-1", "an empty variable counts as unset"


def test_keys_of_the_environment_are_those_of_the_local_server_and_are_not_written(env_file: Path) -> None:
    made = fill_in(env_file, {"AWS_ACCESS_KEY_ID": "AKIDOFTHEUSER", "AWS_SECRET_ACCESS_KEY": "hunter2"})
    assert made.s3_credentials()[1:3] == ("AKIDOFTHEUSER", "hunter2")
    assert "AWS_ACCESS_KEY_ID" not in env_file.read_text()
    assert "hunter2" not in env_file.read_text()


@pytest.mark.parametrize(
    ("environment", "words"),
    [
        ({"AWS_ENDPOINT_URL_S3": "http://127.0.0.1:9"}, "S3_BUCKET is not"),
        ({"AWS_ACCESS_KEY_ID": "hunter2"}, "AWS_ACCESS_KEY_ID is set, but not the other"),
        ({"LOCAL_SERVICES": "mongodb"}, "LOCAL_SERVICES names 'mongodb'; needed a list of mongod, s3"),
    ],
)
def test_a_contradiction_is_refused_before_anything_is_written(
    env_file: Path, environment: dict[str, str], words: str
) -> None:
    with pytest.raises(SettingsError, match=words) as caught:
        fill_in(env_file, environment)
    assert "hunter2" not in str(caught.value)
    assert not env_file.exists()


@pytest.mark.parametrize(
    "uri",
    [
        THEIRS,
        "mongodb://127.0.0.1:27017/",
        "mongodb://me:hunter2@127.0.0.1/",
        "mongodb://me:hunter2@127.0.0.1:x/",
        "http://me:hunter2@127.0.0.1:5/",
    ],
)
def test_a_local_mongod_needs_a_local_address_and_a_password(env_file: Path, uri: str) -> None:
    settings = Settings.read(env_file, {"MONGODB_URI": uri, "S3_BUCKET": "b", "LOCAL_SERVICES": "mongod"})
    with pytest.raises(SettingsError, match=r"MONGODB_URI .*must look like") as caught:
        settings.mongod_address()
    assert "hunter2" not in str(caught.value)


def test_a_password_is_read_as_percent_encoded(env_file: Path) -> None:
    settings = Settings.read(env_file, {"MONGODB_URI": "mongodb://a%40b:p%2Fw$x@127.0.0.1:5/"})
    assert settings.mongod_address() == (5, "a@b", "p/w$x")


@pytest.mark.parametrize("size", ["0.1", "lots", "nan", "-1"])
def test_a_cache_that_mongod_would_refuse_is_named(env_file: Path, size: str) -> None:
    with pytest.raises(SettingsError, match=f"MONGOD_CACHE_GB is '{size}'"):
        _ = Settings.read(env_file, {"MONGOD_CACHE_GB": size}).mongod_cache_gb


@pytest.mark.parametrize(("memory_gb", "cache_gb"), [(1, 0.25), (12, 2.0), (256, 4.0)])
def test_the_cache_is_a_sixth_of_the_memory_unless_told(
    env_file: Path, monkeypatch: pytest.MonkeyPatch, memory_gb: int, cache_gb: float
) -> None:
    monkeypatch.setattr("psutil.virtual_memory", lambda: SimpleNamespace(total=memory_gb * 10**9))
    assert Settings.read(env_file, {}).mongod_cache_gb == cache_gb
    assert Settings.read(env_file, {"MONGOD_CACHE_GB": "0.5"}).mongod_cache_gb == 0.5


def test_settings_print_without_secrets(env_file: Path) -> None:
    made = fill_in(env_file, {"AWS_ACCESS_KEY_ID": "AKIDOFTHEUSER", "AWS_SECRET_ACCESS_KEY": "hunter2"})
    assert "hunter2" not in repr(made)
    assert made.mongod_address()[2] not in repr(made)


def test_a_change_of_the_servers_settings_shows_in_the_fingerprint(env_file: Path) -> None:
    made = fill_in(env_file, {})
    same = Settings.read(env_file, {"DATA_DIR": str(made.folder), "MONGODB_DATABASE": "Other"})
    assert same.fingerprint() == made.fingerprint()
    for name, value in (("DATA_DIR", "elsewhere"), ("AWS_SECRET_ACCESS_KEY", "x"), ("MONGOD_CACHE_GB", "2")):
        assert Settings.read(env_file, {name: value}).fingerprint() != made.fingerprint()


def test_relative_data_lie_in_the_repository(env_file: Path, tmp_path: Path) -> None:
    assert Settings.read(env_file, {}).folder == ROOT / ".data"
    assert Settings.read(env_file, {"DATA_DIR": "x/y"}).folder == ROOT / "x" / "y"
    assert Settings.read(env_file, {"DATA_DIR": str(tmp_path)}).folder == tmp_path


def test_loading_gives_the_agents_what_they_need(env_file: Path) -> None:
    settings = Settings.load(env_file, create=True)
    connections = Connections.from_environment(env_file)
    assert connections.mongodb_uri == settings.values["MONGODB_URI"]
    assert connections.mongodb_database == "ProstheticsEnv"
    assert connections.s3_endpoint == f"http://127.0.0.1:{settings.s3_port()}"
    assert os.environ["LOCAL_SERVICES"] == "mongod,s3"
    assert os.environ["DATA_DIR"] == str(ROOT / ".data")


def test_connections_read_env_where_real_variables_win(env_file: Path) -> None:
    env_file.write_text("MONGODB_URI=mongodb://a:pa$$word${HOME}@h:1/\nS3_BUCKET=of-the-file\nAWS_ACCESS_KEY_ID=key\n")
    os.environ["S3_BUCKET"] = "of-the-environment"
    found = Connections.from_environment(env_file)
    assert found.mongodb_uri == "mongodb://a:pa$$word${HOME}@h:1/", "values are taken as they are"
    assert found.s3_bucket == "of-the-environment"
    assert found.s3_endpoint is None
    assert os.environ["AWS_ACCESS_KEY_ID"] == "key", "boto3 finds it there"


@pytest.mark.parametrize("name", ["MONGODB_URI", "S3_BUCKET"])
def test_missing_connections_say_how_to_get_them(env_file: Path, name: str) -> None:
    complete = {"MONGODB_URI": THEIRS, "S3_BUCKET": "b"}
    env_file.write_text("".join(f"{other}={value}\n" for other, value in complete.items() if other != name))
    with pytest.raises(ConnectionsMissing, match=rf"{name} is not set.*infra up.*\.env\.example"):
        Connections.from_environment(env_file)


def test_connections_print_without_the_password() -> None:
    shown = repr(Connections(THEIRS, "d", "b", "http://key:hunter3@127.0.0.1:9000"))
    assert "hunter" not in shown
    assert "db.example:27017" in shown
    assert "127.0.0.1:9000" in shown


def test_a_picked_port_is_free_and_not_one_of_those_taken() -> None:
    port = pick_free_port()
    assert is_free(port)
    assert pick_free_port((port,)) != port


def _names_read(source: str) -> Iterator[str]:
    """Names of environment variables that a module reads: those it indexes, and upper-case words of our prefixes."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and ast.unparse(node.func) in ("os.environ.get", "os.getenv", "real.get"):
            yield from (str(value.value) for value in node.args[:1] if isinstance(value, ast.Constant))
        elif isinstance(node, ast.Subscript) and ast.unparse(node.value) == "os.environ":
            yield from (str(value.value) for value in [node.slice] if isinstance(value, ast.Constant))
        elif isinstance(node, ast.Constant) and re.fullmatch(r"(MONGOD|MONGODB|S3|AWS)_[A-Z0-9_]+", str(node.value)):
            yield str(node.value)


def test_env_example_lists_every_variable_that_the_code_reads() -> None:
    sources = [path.read_text() for top in ("agents", "environment", "infra") for path in (ROOT / top).rglob("*.py")]
    read = {name for source in sources for name in _names_read(source)} - INTERNAL
    example = (ROOT / ".env.example").read_text()
    listed = set(re.findall(r"^#?([A-Z][A-Z0-9_]*)=", example, re.MULTILINE))
    assert {"MONGODB_URI", "DATA_DIR", "ENV_FILE"} <= read, "the search finds what is there"
    assert listed == read


def test_env_example_explains_every_variable_and_holds_no_secret() -> None:
    lines = (ROOT / ".env.example").read_text().splitlines()
    for number, line in enumerate(lines):
        if re.match(r"#?[A-Z0-9_]+=", line):
            assert lines[number - 1].startswith("#"), f"{line} has no comment"
            assert not re.match(r"#?AWS_(ACCESS|SECRET)\w+=.", line)

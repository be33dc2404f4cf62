"""The embedded server: what it starts on, what it refuses, and who may start it."""

from __future__ import annotations

import fcntl
import json
import os
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from scripts import redis_server
from scripts.redis_server import MARKER, RedisServerError, RunningRedis
from tests.integration.redis_fixtures import SHARD, opened, step, version_of


@pytest.fixture
def running() -> Iterator[list[RunningRedis]]:
    started: list[RunningRedis] = []
    yield started
    for server in started:
        server.stop()
        if server.process is not None:
            server.process.wait()


def fake_server(directory: Path, said: str) -> Path:
    binary = directory / "redis-server"
    binary.write_text(f"#!/bin/sh\necho '{said}'\n")
    binary.chmod(0o755)
    return binary


async def test_it_goes_on_where_it_stopped(tmp_path: Path, running: list[RunningRedis]) -> None:
    first = redis_server.start(tmp_path)
    running.append(first)
    async with opened(first.url) as journal:
        owner = await journal.acquire(SHARD, "A")
        await journal.commit([step(owner, 1, 0)])
    first.stop()
    assert not first.alive()
    second = redis_server.start(tmp_path)
    running.append(second)
    assert second.url == first.url
    async with opened(second.url) as journal:
        assert await version_of(journal) == 1


def test_the_socket_and_the_data_are_for_their_owner_only(tmp_path: Path, running: list[RunningRedis]) -> None:
    server = redis_server.start(tmp_path)
    running.append(server)
    assert stat.S_IMODE(Path(server.socket_path).stat().st_mode) == 0o700
    assert stat.S_IMODE(server.directory.stat().st_mode) == 0o700


def test_a_long_path_gets_a_short_socket_and_keeps_it(tmp_path: Path, running: list[RunningRedis]) -> None:
    deep = tmp_path / ("long" * 30)
    server = redis_server.start(deep)
    running.append(server)
    assert len(server.socket_path) <= redis_server.SOCKET_PATH_BYTES_MAX
    directory = Path(server.socket_path).parent
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    server.stop()
    again = redis_server.start(deep)
    running.append(again)
    assert again.url == server.url
    again.stop()
    directory.rmdir()


def test_one_directory_has_one_server(tmp_path: Path, running: list[RunningRedis]) -> None:
    assert redis_server.running(tmp_path) is None
    server = redis_server.start(tmp_path)
    running.append(server)
    with pytest.raises(RedisServerError, match="another Redis is running"):
        redis_server.start(tmp_path)
    found = redis_server.running(tmp_path)
    assert found is not None
    assert (found.url, found.pid, found.version) == (server.url, server.pid, server.version)
    found.stop()
    assert server.process is not None
    server.process.wait()
    assert redis_server.running(tmp_path) is None


def test_a_child_that_a_killed_server_left_behind_is_waited_for(tmp_path: Path, running: list[RunningRedis]) -> None:
    (tmp_path / "redis").mkdir(mode=0o700)
    with (tmp_path / "redis" / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        child = subprocess.Popen(["sleep", "0.3"], pass_fds=(lock.fileno(),))
    running.append(redis_server.start(tmp_path))
    assert child.wait() == 0


def test_a_pid_that_another_process_got_later_is_not_taken_for_the_server(tmp_path: Path) -> None:
    server = redis_server.start(tmp_path)
    state = (server.directory / "running.json").read_text()
    server.stop()
    (server.directory / "running.json").write_text(state.replace(str(server.pid), str(os.getpid())))
    assert redis_server.running(tmp_path) is None


@pytest.mark.parametrize(
    ("wrote", "reads", "accepted"),
    [
        ("6.2.14", "6.2.14", True),
        ("6.2.14", "6.2.6", True),
        ("6.2.14", "7.2.4", True),
        ("7.2.4", "6.2.14", False),
        ("7.4.0", "7.2.9", False),
        ("10.0.0", "9.9.9", False),
    ],
)
def test_data_of_a_newer_server_is_refused(tmp_path: Path, wrote: str, reads: str, accepted: bool) -> None:
    (tmp_path / MARKER).write_text(json.dumps({"version": wrote}))
    if accepted:
        redis_server.check_marker(tmp_path, reads)
        return
    with pytest.raises(RedisServerError, match=f"written by Redis {wrote}; {reads} would open it as empty"):
        redis_server.check_marker(tmp_path, reads)


@pytest.mark.parametrize("data", redis_server.DATA)
def test_data_without_a_marker_is_refused(tmp_path: Path, data: str) -> None:
    redis_server.check_marker(tmp_path, "6.2.14")
    (tmp_path / data).touch()
    with pytest.raises(RedisServerError, match=f"holds {data} but not {MARKER}"):
        redis_server.check_marker(tmp_path, "6.2.14")


@pytest.mark.parametrize("text", ["", "[]", '{"version": "new"}', "{}"])
def test_a_damaged_marker_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / MARKER).write_text(text)
    with pytest.raises(RedisServerError, match="is damaged"):
        redis_server.check_marker(tmp_path, "6.2.14")


def test_a_refused_start_leaves_the_directory_as_it_was(tmp_path: Path) -> None:
    (tmp_path / "redis").mkdir()
    (tmp_path / "redis" / MARKER).write_text('{"version": "99.0.0"}')
    with pytest.raises(RedisServerError, match=r"written by Redis 99\.0\.0"):
        redis_server.start(tmp_path)
    assert [path.name for path in (tmp_path / "redis").iterdir()] == [MARKER]


def test_a_server_that_ends_instead_of_starting_says_why(tmp_path: Path) -> None:
    with pytest.raises(RedisServerError, match=r"(?s)ended with 1; its log ends with:.*no-such-setting"):
        redis_server.start(tmp_path, options=["--no-such-setting", "1"])
    assert redis_server.running(tmp_path) is None


def test_the_binary_on_path_comes_first_then_the_wheels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    binary = fake_server(tmp_path, "Redis server v=9.1.2 sha=0")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert redis_server.find_server() == binary
    assert redis_server.server_version(binary) == "9.1.2"
    monkeypatch.setenv("PATH", str(tmp_path / "nowhere"))
    assert redis_server.server_version(redis_server.find_server()).startswith("6.2")
    monkeypatch.setattr(redis_server, "server_in_wheel", lambda: None)
    with pytest.raises(RedisServerError, match=r"install Redis 6\.2 or newer"):
        redis_server.find_server()


def test_something_else_called_redis_server_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RedisServerError, match="is no Redis server"):
        redis_server.server_version(fake_server(tmp_path, "hello"))
    with pytest.raises(RedisServerError, match="does not run"):
        redis_server.server_version(tmp_path / "missing")


def test_the_server_outlives_who_started_it_and_can_be_found(tmp_path: Path) -> None:
    code = f"from pathlib import Path; from scripts import redis_server; redis_server.start(Path({str(tmp_path)!r}))"
    subprocess.run([sys.executable, "-W", "ignore", "-c", code], cwd=Path(__file__).parents[2], check=True)
    found = redis_server.running(tmp_path)
    assert found is not None and found.process is None
    with socket.socket(socket.AF_UNIX) as line:
        line.connect(found.socket_path)
    found.stop()
    assert not found.alive()

"""The key file on a real file system."""

from __future__ import annotations

import base64
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from actors.adapters.aesgcm_sealer import digest_key_of
from actors.adapters.key_file import KeysUnusable, keys_from_environment, keys_from_file, load_keys

ONE, TWO = bytes(32), bytes([1] * 32)


def test_the_file_is_made_once_and_only_for_its_owner(tmp_path: Path) -> None:
    path = tmp_path / "data" / "master.key"
    keys = keys_from_file(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert keys_from_file(path) == keys
    assert [entry.name for entry in path.parent.iterdir()] == ["master.key"], "no temporary file stays behind"
    assert keys.masters[0] != keys.digest


def test_processes_that_make_it_at_once_agree(tmp_path: Path) -> None:
    path = tmp_path / "master.key"
    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(lambda _: keys_from_file(path), range(32)))) == 1


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o620])
def test_a_file_that_others_can_touch_is_refused(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "master.key"
    keys_from_file(path)
    path.chmod(mode)
    with pytest.raises(KeysUnusable, match="others"):
        keys_from_file(path)


def test_rotation_is_a_line_in_front(tmp_path: Path) -> None:
    path = tmp_path / "master.key"
    old = keys_from_file(path)
    sealed = old.sealer().seal("ord_1", b"Ada")
    path.write_text(f"# since November\nmaster {base64.b64encode(TWO).decode()}\n" + path.read_text())
    new = keys_from_file(path)
    assert new.masters == (TWO, *old.masters)
    assert new.sealer().unseal("ord_1", *sealed) == b"Ada"
    assert new.digest == old.digest


@pytest.mark.parametrize("text", ["", "# nothing\n", "master short\n", "secret AAAA\n", "master\n"])
def test_a_damaged_file_is_refused_without_showing_it(tmp_path: Path, text: str) -> None:
    path = tmp_path / "master.key"
    path.write_text(text)
    path.chmod(0o600)
    with pytest.raises(KeysUnusable) as refused:
        keys_from_file(path)
    assert "short" not in str(refused.value)


def test_the_environment_wins_over_the_file(tmp_path: Path) -> None:
    path = tmp_path / "master.key"
    environ = {"DRAY_MASTER_KEY": f"{TWO.hex()},{base64.urlsafe_b64encode(ONE).decode()}"}
    keys = load_keys(environ, path)
    assert keys.masters == (TWO, ONE)
    assert keys.digest == digest_key_of(ONE)
    assert not path.exists()
    assert load_keys({}, path).masters != keys.masters
    assert path.exists()


def test_an_explicit_digest_key_is_taken() -> None:
    keys = keys_from_environment({"DRAY_MASTER_KEY": ONE.hex(), "DRAY_DIGEST_KEY": TWO.hex()})
    assert keys is not None
    assert keys.digest == TWO


@pytest.mark.parametrize("text", ["abc", "zz" * 32, f"{bytes(32).hex()},"])
def test_a_key_of_the_wrong_form_is_refused(text: str) -> None:
    with pytest.raises(KeysUnusable, match="32 bytes"):
        keys_from_environment({"DRAY_MASTER_KEY": text})

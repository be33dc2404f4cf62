"""What is sealed opens again with the right keys for the right order, and in no other case."""

from __future__ import annotations

import base64
import hmac

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from actors.adapters.aesgcm_sealer import AesGcmSealer, digest_key_of, key_id
from models.sealing import Erased, MasterKeyMissing, SealBroken, Sealer

KEY = st.binary(min_size=32, max_size=32)
ORDER = st.from_regex(r"ord_[0-9a-f]{35}", fullmatch=True)
PLAIN = st.binary(max_size=2_000)
DIGEST_KEY = bytes(range(32))


def a_sealer(*masters: bytes) -> Sealer:
    return AesGcmSealer(masters, DIGEST_KEY)


@given(KEY, ORDER, PLAIN)
def test_unseal_gives_back_what_was_sealed(master: bytes, order: str, plain: bytes) -> None:
    sealed, wrapped = a_sealer(master).seal(order, plain)
    assert a_sealer(master).unseal(order, sealed, wrapped) == plain


@given(KEY, ORDER, PLAIN)
def test_more_is_sealed_under_the_same_key(master: bytes, order: str, plain: bytes) -> None:
    sealer = a_sealer(master)
    _, wrapped = sealer.seal(order, b"{}")
    assert sealer.unseal(order, sealer.seal_more(order, wrapped, plain), wrapped) == plain


@given(KEY, ORDER, st.binary(min_size=8, max_size=200))
def test_nothing_of_the_plain_text_or_its_repetition_shows(master: bytes, order: str, plain: bytes) -> None:
    sealer = a_sealer(master)
    first, second = sealer.seal(order, plain), sealer.seal(order, plain)
    assert first.sealed != second.sealed
    assert first.wrapped_key != second.wrapped_key
    assert plain not in base64.b64decode(first.sealed)


@given(KEY, ORDER, ORDER, PLAIN)
def test_sealed_data_open_for_no_other_order(master: bytes, order: str, other: str, plain: bytes) -> None:
    assume(order != other)
    sealer = a_sealer(master)
    sealed, wrapped = sealer.seal(order, plain)
    with pytest.raises(SealBroken):
        sealer.unseal(other, sealed, wrapped)


@given(KEY, ORDER, PLAIN, st.data())
def test_any_altered_byte_is_noticed(master: bytes, order: str, plain: bytes, data: st.DataObject) -> None:
    sealer = a_sealer(master)
    sealed, wrapped = sealer.seal(order, plain)
    name, _, text = wrapped.partition(".")
    if data.draw(st.booleans(), label="alter the key"):
        wrapped = f"{name}.{_altered(text, data)}"
    else:
        sealed = _altered(sealed, data)
    with pytest.raises(SealBroken):
        sealer.unseal(order, sealed, wrapped)


def _altered(text: str, data: st.DataObject) -> str:
    raw = bytearray(base64.b64decode(text))
    raw[data.draw(st.integers(0, len(raw) - 1), label="at")] ^= data.draw(st.integers(1, 255), label="flip")
    return base64.b64encode(raw).decode()


@given(ORDER, st.text(max_size=60), st.text(max_size=60))
def test_garbage_is_refused_with_a_reason(order: str, sealed: str, wrapped: str) -> None:
    with pytest.raises((SealBroken, MasterKeyMissing, Erased)):
        a_sealer(DIGEST_KEY).unseal(order, sealed, wrapped)


@given(KEY, ORDER, PLAIN)
def test_a_destroyed_key_is_told_apart_from_a_fault(master: bytes, order: str, plain: bytes) -> None:
    sealer = a_sealer(master)
    sealed, _ = sealer.seal(order, plain)
    with pytest.raises(Erased):
        sealer.unseal(order, sealed, "")
    with pytest.raises(Erased):
        sealer.seal_more(order, "", plain)


@given(KEY, KEY, ORDER, PLAIN)
def test_rotation_keeps_old_data_readable_and_rewraps(old: bytes, new: bytes, order: str, plain: bytes) -> None:
    assume(key_id(old) != key_id(new))
    sealed, wrapped = a_sealer(old).seal(order, plain)
    both = a_sealer(new, old)
    assert both.unseal(order, sealed, wrapped) == plain
    rewrapped = both.rewrap(order, wrapped)
    assert rewrapped.startswith(key_id(new) + ".")
    assert both.rewrap(order, rewrapped) == rewrapped
    assert a_sealer(new).unseal(order, sealed, rewrapped) == plain
    with pytest.raises(MasterKeyMissing):
        a_sealer(new).unseal(order, sealed, wrapped)


@given(KEY, st.text(max_size=80), st.text(max_size=80), st.sampled_from(["email", "name-word", "body"]))
def test_digests_are_stable_and_separate(master: bytes, text: str, other: str, purpose: str) -> None:
    sealer = a_sealer(master)
    digest = sealer.keyed_digest(purpose, text)
    assert len(digest) == 32
    assert digest == a_sealer(DIGEST_KEY, master).keyed_digest(purpose, text), "rotating masters must keep digests"
    assert digest != sealer.keyed_digest(purpose + "-other", text)
    assert digest != AesGcmSealer([master], digest_key_of(master)).keyed_digest(purpose, text)
    assert (digest == sealer.keyed_digest(purpose, other)) == (text == other)


@pytest.mark.parametrize("keys", [[], [b"short"]])
def test_a_sealer_refuses_keys_of_the_wrong_size(keys: list[bytes]) -> None:
    with pytest.raises(ValueError, match="master key"):
        AesGcmSealer(keys, DIGEST_KEY)


@given(st.text(max_size=300), st.text("abc-", min_size=1, max_size=8))
def test_a_digest_is_the_hmac_of_the_text(text: str, purpose: str) -> None:
    key = hmac.digest(DIGEST_KEY, b"dray/digest/1/" + purpose.encode(), "sha256")
    wanted = hmac.digest(key, text.encode(), "sha256")[:24]
    assert base64.urlsafe_b64decode(a_sealer(bytes(32)).keyed_digest(purpose, text)) == wanted


def test_no_salt_wraps_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("actors.adapters.aesgcm_sealer.WRAPS_PER_SALT_MAX", 3)
    sealer = a_sealer(bytes(32))
    wrapped = [sealer.seal(f"ord_{number}", b"x").wrapped_key for number in range(9)]
    salts = [base64.b64decode(key.partition(".")[2])[:12] for key in wrapped]
    assert [salts.count(salt) for salt in dict.fromkeys(salts)] == [3, 3, 3]
    assert len(set(wrapped)) == 9

"""The sandbox's memory: what it answered is there after a crash, a torn log is mended, a damaged one is refused."""

from __future__ import annotations

import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import stripe

from scripts.sandbox.log import FILE_NAME, Log, LogUnusable, decode, encode
from scripts.sandbox.records import KINDS, Charge
from scripts.sandbox.server import Options, Sandbox
from scripts.sandbox.store import Work
from tests.contract.sandbox_server import HOLD, Server, eventually, refusal, serving


def story(sandbox: Server) -> None:
    """A bit of everything."""
    sandbox.account("acct_a", balance={"gbp": 1})
    sandbox.post("clock", advance_s=3600)
    intent = sandbox.paid(transfer_group="ord_1", metadata={"order": "ord_1"}, description="Grüße")
    transfer: Any = {
        "amount": 600,
        "currency": "gbp",
        "destination": "acct_a",
        "source_transaction": intent.latest_charge,
    }
    made = sandbox.v1.transfers.create(transfer)
    sandbox.v1.transfers.reversals.create(made.id, {"amount": 50})
    sandbox.v1.refunds.create({"payment_intent": intent.id, "amount": 100})
    sandbox.paid(payment_method="pm_card_createDispute")
    sandbox.v1.disputes.list()
    sandbox.v1.payment_intents.cancel(sandbox.hold().id)
    sandbox.hold(payment_method="pm_card_authenticationRequired", return_url="https://shop.example/")
    with pytest.raises(stripe.CardError):
        sandbox.hold(payment_method="pm_card_chargeDeclined")
    endpoint: Any = {"url": "http://127.0.0.1:1/", "enabled_events": ["topup.created"]}
    sandbox.v1.webhook_endpoints.create(endpoint)


def state(sandbox: Server) -> list[Any]:
    events = [event.to_dict() for event in sandbox.v1.events.list({"limit": 100}).data]
    return [sandbox.dump(), sandbox.get("ledger"), events, sandbox.get("clock")["offset_s"]]


def test_everything_answered_is_there_after_a_kill(tmp_path: Path) -> None:
    key = {"idempotency_key": "the key"}
    with serving("--data", str(tmp_path), "--seed", "1") as sandbox:
        story(sandbox)
        intent = sandbox.v1.payment_intents.create(HOLD, key)  # type: ignore[arg-type]
        before = state(sandbox)
        sandbox.kill()
    port = sandbox.url.rpartition(":")[2]  # the 3D Secure page's address is part of an answer
    with serving("--data", str(tmp_path), "--seed", "2", "--port", port) as sandbox:
        assert state(sandbox) == before
        again: Any = sandbox.v1.payment_intents.create(HOLD, key)  # type: ignore[arg-type]
        assert again.id == intent.id
        assert again.last_response.headers["idempotent-replayed"] == "true"
        captured = sandbox.v1.payment_intents.capture(intent.id)
        assert captured.status == "succeeded"
        assert sandbox.balanced()
        ids = [entry["id"] for entry in sandbox.get("ledger")["entries"]]
        assert len(ids) == len(set(ids))
        after = state(sandbox)
    with serving("--data", str(tmp_path), "--port", port) as sandbox:
        assert state(sandbox) == after
        assert "empty directory" in sandbox.post("reset")["error"]["message"]
        hold_left = sandbox.post("clock", advance_s=8 * 86_400)
        assert hold_left["timers"] > 0


def test_a_kill_under_load_loses_and_doubles_nothing(tmp_path: Path) -> None:
    answered: dict[str, str] = {}
    asked: set[str] = set()

    def hold(server: Server, key: str) -> str:
        asked.add(key)
        intent = server.v1.payment_intents.create(HOLD, {"idempotency_key": key})  # type: ignore[arg-type]
        answered[key] = intent.id
        return intent.id

    def hammer(server: Server, worker: int) -> None:
        for number in range(10_000):
            try:
                hold(server, f"{worker}:{number}")
            except stripe.APIConnectionError:
                return

    with serving("--data", str(tmp_path)) as sandbox, ThreadPoolExecutor(4) as pool:
        running = [pool.submit(hammer, sandbox, worker) for worker in range(4)]
        eventually(lambda: len(answered) > 100)
        sandbox.kill()
        for worker in running:
            worker.result(30)
    before = dict(answered)
    assert 0 < len(asked) - len(before) <= 4
    with serving("--data", str(tmp_path)) as sandbox:
        assert set(before.values()) <= {found["id"] for found in sandbox.dump(type="payment_intent")}
        for key in asked:
            assert hold(sandbox, key) == before.get(key, answered[key])
        assert sandbox.get("stats")["objects"]["payment_intent"] == len(asked)
        assert sandbox.held("holds") == 2000 * len(asked)
        assert sandbox.balanced()


def test_a_stopped_server_exits_cleanly(tmp_path: Path) -> None:
    for number in (signal.SIGINT, signal.SIGTERM):
        with serving("--data", str(tmp_path)) as sandbox:
            sandbox.hold()
            sandbox.process.send_signal(number)
            assert sandbox.process.wait(30) == 0


def recovered(directory: Path) -> Sandbox:
    return Sandbox(Options(data=directory))


@pytest.fixture
def written(tmp_path: Path) -> Path:
    with serving("--data", str(tmp_path)) as sandbox:
        sandbox.hold()
        sandbox.paid()
    return tmp_path


def test_a_torn_tail_is_cut_off(written: Path) -> None:
    path = written / FILE_NAME
    whole = path.read_bytes()
    last = whole.splitlines(keepends=True)[-1]
    for kept in (0, 1, 9, len(last) - 1):
        path.write_bytes(whole[: len(whole) - len(last)] + last[:kept])
        sandbox = recovered(written)
        assert sandbox.recovered == whole.count(b"\n") - 1
        assert [charge.captured for charge in sandbox.store.charges.rows.values()] == [False, False]
        assert sandbox.log is not None
        sandbox.log.close()
        assert path.read_bytes() == whole[: len(whole) - len(last)]


def test_damage_is_refused(written: Path) -> None:
    path = written / FILE_NAME
    lines = path.read_bytes().splitlines(keepends=True)
    damaged = lines[2].replace(b"2000", b"2001")
    assert damaged != lines[2]
    for wrong in ([*lines[:2], damaged, *lines[3:]], [*lines[:-1], lines[-1].replace(b'"t"', b'"u"')]):
        path.write_bytes(b"".join(wrong))
        with pytest.raises(LogUnusable, match="is damaged at line"):
            recovered(written)
    assert refusal("--data", str(written))[0] == 1


def test_another_format_is_refused(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).write_bytes(encode({"format": 99, "suffix": "x", "fields": {}}))
    with pytest.raises(LogUnusable, match="has format 99, this sandbox writes format 1"):
        recovered(tmp_path)


def test_records_of_other_fields_are_mapped_by_name(written: Path) -> None:
    path = written / FILE_NAME
    header, *items = (decode(line) for line in path.read_bytes().splitlines(keepends=True))
    assert header is not None
    names = list(Charge._fields)
    swapped = [names[1], names[0], *names[2:], "forgotten"]
    header["fields"]["charge"] = swapped
    rewritten = [header]
    for item in items:
        assert item is not None
        for kind, values in item["w"]:
            if kind == "charge":
                values[0], values[1] = values[1], values[0]
        rewritten.append(item)
    path.write_bytes(b"".join(encode(item) for item in rewritten))
    charges = recovered(written).store.charges.rows
    assert [charge.amount for charge in charges.values()] == [2000, 2000]
    assert set(header["fields"]) == set(KINDS)


def test_one_sandbox_per_directory(tmp_path: Path) -> None:
    log = Log(tmp_path)
    with pytest.raises(LogUnusable, match="is in use by another sandbox"):
        Log(tmp_path)
    log.close()
    Log(tmp_path).close()


def test_a_log_that_cannot_be_written_stops_the_sandbox(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sandbox = recovered(tmp_path)

    def full(_: Any) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr(sandbox.log, "append", full)
    work = Work(sandbox.store, sandbox.store.now())
    work.put(sandbox.store.accounts.rows["acct_sandboxplatform"])
    with pytest.raises(OSError, match="no space left"):
        sandbox.store.commit(work)
    assert "no space left" in sandbox.store.broken

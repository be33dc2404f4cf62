"""The journal's benchmark runs, and its figures are about what it says."""

from __future__ import annotations

import json

import pytest

from scripts.bench import journal


def test_the_benchmark_stores_every_order_and_tells_what_it_cost(capsys: pytest.CaptureFixture[str]) -> None:
    assert journal.run(orders=60, shards=(4,)) == []
    table, _, line = capsys.readouterr().out.strip().rpartition("\n")
    assert len(table.splitlines()) == 3
    rows = json.loads(line)["rows"]
    assert [(row["shards"], row["streamed"]) for row in rows] == [(4, False), (4, True)]
    for row in rows:
        assert row["events"] == 60 * 14
        assert 0 < row["commits_per_pipeline"] <= 4
        assert row["client_cpu_us"] > 0
        assert row["redis_cpu_us"] > 0
        assert row["aof_bytes_per_order"] > 60 * 14

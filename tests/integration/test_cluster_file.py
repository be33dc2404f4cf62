"""`cluster.yaml` is what Ray's cluster launcher takes, and starts Dray as Dray can be started."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml
from ray.autoscaler._private.util import prepare_config, validate_config

from scripts.cli.__main__ import parser

PATH = Path(__file__).parents[2] / "cluster.yaml"


@pytest.fixture
def cluster() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(PATH.read_text())
    return found


def test_rays_own_validator_takes_it(cluster: dict[str, Any]) -> None:
    validate_config(prepare_config(cluster))


def test_the_validator_would_refuse_a_mistake(cluster: dict[str, Any]) -> None:
    with pytest.raises(Exception, match="head_start_commands"):
        validate_config(prepare_config({**cluster, "head_start_commands": []}))


def test_head_and_workers_start_dray_with_arguments_that_it_has(cluster: dict[str, Any]) -> None:
    for role in ("head", "worker"):
        commands = [command for line in cluster[f"{role}_start_ray_commands"] for command in line.split(";")]
        ours = [shlex.split(command) for command in commands if "/scripts/dray " in command]
        assert [words[1] for words in ours] == ["down", "up"], role
        for words in ours:
            parser().parse_args(words[1:])
        assert any("ray start" in command for command in commands), role


def test_it_asks_for_one_redis_and_carries_no_secret(cluster: dict[str, Any]) -> None:
    text = PATH.read_text()
    assert "DRAY_REDIS" in text and "~/dray.env" in cluster["file_mounts"]
    assert not re.search(r"sk_(live|test)_\w{4,}", text)

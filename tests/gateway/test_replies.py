"""What actors answer, as clients are told."""

from __future__ import annotations

import pytest

from actors.runtime.envelope import ARCHIVE_DAMAGED, Reply, Status
from gateway.problems import Problem
from gateway.replies import checked


@pytest.mark.parametrize(("body", "said"), [(ARCHIVE_DAMAGED, "archive is damaged"), (b'{"code":"broken"}', "parked")])
def test_a_failure_says_what_a_person_has_to_do(body: bytes, said: str) -> None:
    with pytest.raises(Problem, match=said) as told:
        checked(Reply(Status.FAILED, body))
    assert told.value.code == "command_failed"

"""Every journal in turn, empty, for the tests of its contract."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from scripts.redis_server import RunningRedis
from tests.contract.journal_backends import AnyJournal, Backend, backend_names, empty_backend, serve


@pytest.fixture(scope="module", params=backend_names())
def journal_server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningRedis | None]:
    yield from serve(request.param, tmp_path_factory.mktemp("journal"))


@pytest.fixture
async def journal_backend(journal_server: RunningRedis | None) -> AsyncIterator[Backend]:
    async with empty_backend(journal_server) as empty:
        yield empty


@pytest.fixture
async def journal(journal_backend: Backend) -> AnyJournal:
    return await journal_backend.connect()

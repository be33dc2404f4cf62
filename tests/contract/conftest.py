"""Every journal and every database in turn, empty, for the tests of their contracts."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator

import pytest

from scripts.redis_server import RunningRedis
from tests.contract.databases import NAMES, databases
from tests.contract.journal_backends import AnyJournal, Backend, backend_names, empty_backend, serve
from tests.contract.read_sides import Side


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


@pytest.fixture(scope="module", params=NAMES)
def new_database(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[], str]]:
    with databases(request.param, tmp_path_factory.mktemp("database")) as create:
        yield create


@pytest.fixture
async def side(new_database: Callable[[], str]) -> AsyncIterator[Side]:
    made = Side(new_database())
    await made.projector.prepare()
    yield made
    made.close()

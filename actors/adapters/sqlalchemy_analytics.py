"""Reads the roll-ups: implements `analytics.AnalyticsReader`. A report reads the rows of its days along their key."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Column, func, select

from actors.adapters.sqlalchemy_tables import connect, counting, sales, shards, translated, waits
from actors.runtime.analytics import DaysSales, Period, Sales, Waited
from models.analytics import MEASURES, TOTAL, Figures
from models.decision import Millis


class SqlAnalytics:
    """Every method blocks, and raises ReadModelUnavailable."""

    def __init__(self, url: str) -> None:
        self._engine = connect(url, reading=True)

    def sales(self, period: Period, dimension: str) -> Sequence[Sales]:
        """The figures of each key of the dimension, in no particular order."""
        return [Sales(key, currency, figures) for key, currency, figures in self._sums(period, dimension, sales.c.key)]

    def sales_by_day(self, period: Period) -> Sequence[DaysSales]:
        """The figures of each day, in no particular order."""
        return [DaysSales(day, currency, figures) for day, currency, figures in self._sums(period, TOTAL, sales.c.day)]

    def _sums(self, period: Period, dimension: str, by: Column[Any]) -> Sequence[tuple[Any, str, Figures]]:
        sums = [func.sum(sales.c[name]) for name in Figures._fields]
        statement = (
            select(by, sales.c.currency, *sums)
            .where(sales.c.retailer == period.retailer, sales.c.dimension == dimension)
            .where(sales.c.day >= period.since, sales.c.day < period.until)
            .group_by(by, sales.c.currency)
            .having(sums[0] > 0)
        )
        with translated(), self._engine.connect() as connection:
            return [(row[0], row[1], Figures(*map(int, row[2:]))) for row in connection.execute(statement)]

    def waits(self, period: Period) -> Sequence[Waited]:
        """How many consignments waited how long, by supplier."""
        place = (waits.c.measure, waits.c.supplier, waits.c.bucket)
        sums = (func.sum(waits.c.consignments), func.sum(waits.c.total_ms))
        statement = (
            select(*place, *sums)
            .where(waits.c.retailer == period.retailer, waits.c.measure.in_(MEASURES))
            .where(waits.c.day >= period.since, waits.c.day < period.until)
            .group_by(*place)
            .having(sums[0] > 0)
        )
        with translated(), self._engine.connect() as connection:
            return [Waited(*row[:3], int(row[3]), int(row[4])) for row in connection.execute(statement)]

    def as_of(self) -> Millis:
        """Everything that had happened by then is counted; 0 before the first time."""
        there = select(func.min(func.coalesce(counting.c.as_of, 0)))
        statement = there.outerjoin_from(shards, counting, counting.c.shard == shards.c.shard)
        with translated(), self._engine.connect() as connection:
            return connection.execute(statement).scalar() or 0

    def close(self) -> None:
        self._engine.dispose()

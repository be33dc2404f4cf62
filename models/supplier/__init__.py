"""A supplier: how it works (mode, daily capacity, policy) and the tasks it is being offered.

This package's name exports its messages only; the decider is `models.supplier.machine`.
"""

from models.supplier.messages import (
    CloseTask,
    OfferTask,
    PutSupplier,
    SupplierPut,
    TaskAccepted,
    TaskClosed,
    TaskOffered,
    TaskRefused,
    TaskWithdrawn,
    WithdrawTask,
)

__all__ = [
    "CloseTask",
    "OfferTask",
    "PutSupplier",
    "SupplierPut",
    "TaskAccepted",
    "TaskClosed",
    "TaskOffered",
    "TaskRefused",
    "TaskWithdrawn",
    "WithdrawTask",
]

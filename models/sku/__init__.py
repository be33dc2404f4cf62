"""The stock of one SKU: what was received, what is reserved for which order, what is sold.

This package's name exports its messages only, so that other machines can address a SKU without importing its decider
(`models.sku.machine`).
"""

from models.sku.messages import (
    ClaimSku,
    ConfirmReservation,
    ReceiveStock,
    ReleaseReservation,
    ReservationReleased,
    Reserve,
    Restock,
    SkuClaimed,
    StockReceived,
    StockRefused,
    StockReserved,
    StockRestocked,
    StockSold,
)

__all__ = [
    "ClaimSku",
    "ConfirmReservation",
    "ReceiveStock",
    "ReleaseReservation",
    "ReservationReleased",
    "Reserve",
    "Restock",
    "SkuClaimed",
    "StockReceived",
    "StockRefused",
    "StockReserved",
    "StockRestocked",
    "StockSold",
]

"""Every kind of actor there is."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from actors import adoption, brand, keyring, orchestrator, order, parking, product, retailer, sku, supplier
from actors.runtime.kind import ActorKind

KINDS: Mapping[str, ActorKind] = MappingProxyType(
    {
        kind.name: kind
        for kind in (
            order.KIND,
            orchestrator.KIND,
            sku.KIND,
            supplier.KIND,
            product.KIND,
            adoption.KIND,
            brand.KIND,
            retailer.KIND,
            keyring.KIND,
            parking.KIND,
        )
    }
)

"""A storefront for Locust (https://locust.io), for teams that have it; Dray itself neither needs nor imports it.

    pip install locust
    DRAY_API_KEY=... locust -f scripts/locustfile.py --host http://127.0.0.1:8080

The products have to exist and be adopted: run `dray load --orders 100` once, which makes them. Locust's users wait for
their answers before they go on, so what it shows is a closed loop: for latencies that count from when an order was due,
use `dray load --rate R`.
"""

# mypy: ignore-errors
# Locust is not installed where Dray is checked.

from __future__ import annotations

import itertools
import os
import random
import uuid

from locust import HttpUser, constant_throughput, task

SKUS = int(os.environ.get("DRAY_LOAD_SKUS", "100"))
ZIPF = float(os.environ.get("DRAY_LOAD_ZIPF", "1.1"))
PRODUCTS = [f"load-regular-{number:05d}" for number in range(SKUS)]
POPULARITY = list(itertools.accumulate(1 / rank**ZIPF for rank in range(1, SKUS + 1)))
DECLINED_SHARE = 0.03
ADDRESS = {"line1": "1 Load Street", "city": "Berlin", "postal_code": "10115", "country": "DE"}


class Storefront(HttpUser):
    """Places orders, looks at them, cancels a few."""

    wait_time = constant_throughput(1)

    def on_start(self) -> None:
        self.client.headers["Authorization"] = f"Bearer {os.environ['DRAY_API_KEY']}"
        self.placed: list[str] = []

    @task(10)
    def place(self) -> None:
        declined = random.random() < DECLINED_SHARE
        order = {
            "customer": {"email": f"{uuid.uuid4()}@load.example", "name": "Ada Load"},
            "shipping_address": ADDRESS,
            "payment_method": "pm_card_visa_chargeDeclined" if declined else "pm_card_visa",
            "currency": "eur",
            "lines": [
                {"product": product, "quantity": 1} for product in random.choices(PRODUCTS, cum_weights=POPULARITY, k=2)
            ],
        }
        headers = {"Idempotency-Key": str(uuid.uuid4())}
        with self.client.post("/v1/orders", json=order, headers=headers, catch_response=True) as answer:
            if answer.status_code == 202:
                self.placed.append(answer.json()["id"])
                answer.success()
            elif answer.status_code == 429:
                answer.success()  # the system says that it is full, as it should
            else:
                answer.failure(f"{answer.status_code}: {answer.text[:200]}")

    @task(5)
    def look(self) -> None:
        if self.placed:
            self.client.get(f"/v1/orders/{random.choice(self.placed)}", name="/v1/orders/{id}")

    @task(1)
    def cancel(self) -> None:
        if self.placed:
            order = self.placed.pop(random.randrange(len(self.placed)))
            path, name = f"/v1/orders/{order}/cancel", "/v1/orders/{id}/cancel"
            self.client.post(path, json={"reason": "changed my mind"}, name=name)

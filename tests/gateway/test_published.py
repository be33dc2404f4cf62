"""`/openapi.json` and the table of problems: complete and true. That answers are as published is checked on every
answer of every test here (`tests.gateway.published`)."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Any

from gateway.app import endpoints
from gateway.openapi import codes_of
from gateway.problems import PROBLEMS, status_of
from models.order.tables import MACHINES
from tests.gateway.published import published
from tests.gateway.shop import Shop, in_shop, ok

ROOT = Path(__file__).parents[2]

CONTRACT = """
PUT /v1/suppliers/{id}
GET /v1/suppliers/{id}
PUT /v1/brands/{id}
GET /v1/brands/{id}
PUT /v1/retailers/{id}
GET /v1/retailers/{id}
PUT /v1/products/{id}
GET /v1/products/{id}
PUT /v1/products/{id}/offers/{supplier}
PUT /v1/adoptions/{product}
POST /v1/inventory/{sku}/receipts
GET /v1/inventory/{sku}
POST /v1/orders
GET /v1/orders
POST /v1/orders/batch
GET /v1/orders/{id}
GET /v1/orders/{id}/stream
GET /v1/stream
GET /v1/events
POST /v1/orders/{id}/cancel
POST /v1/orders/{id}/confirm-delivery
POST /v1/orders/{id}/refunds
POST /v1/orders/{id}/returns
POST /v1/orders/{id}/returns/{part}/approve
POST /v1/orders/{id}/returns/{part}/reject
POST /v1/orders/{id}/returns/{part}/receive
POST /v1/orders/{id}/disputes
POST /v1/orders/{id}/disputes/{part}/evidence
POST /v1/orders/{id}/disputes/{part}/resolve
POST /v1/orders/{id}/messages
GET /v1/orders/{id}/messages
GET /v1/tasks
GET /v1/tasks/{id}
POST /v1/tasks/{id}/accept
POST /v1/tasks/{id}/reject
POST /v1/tasks/{id}/start
POST /v1/tasks/{id}/dispatch
POST /v1/tasks/{id}/deliver
POST /v1/tasks/{id}/cancellation
GET /v1/analytics/days
GET /v1/analytics/statuses
GET /v1/analytics/suppliers
GET /v1/analytics/brands
GET /v1/analytics/products
GET /v1/analytics/cancellations
GET /v1/analytics/times
POST /v1/stripe/webhook
GET /healthz
GET /readyz
GET /metrics
""".split("\n")[1:-1]


def operations() -> list[tuple[str, dict[str, Any]]]:
    return [
        (f"{method.upper()} {path}", operation)
        for path, methods in published().openapi["paths"].items()
        for method, operation in methods.items()
    ]


def test_every_call_of_the_contract_is_published() -> None:
    assert set(CONTRACT) <= {name for name, _ in operations()}


def test_every_operation_is_described() -> None:
    ids = [operation["operationId"] for _, operation in operations()]
    assert len(set(ids)) == len(ids)
    for name, operation in operations():
        assert operation["summary"], name
        assert operation["tags"], name
        wanted = set(re.findall(r"{(\w+)}", name))
        assert {p["name"] for p in operation["parameters"] if p["in"] == "path"} == wanted, name
        assert all(response["description"] for response in operation["responses"].values())


def test_every_reference_leads_somewhere() -> None:
    document = published().openapi
    references = re.findall(r"'\$ref': '#/components/schemas/(\w+)'", str(document))
    assert references
    assert set(references) <= set(document["components"]["schemas"])


def test_bodies_are_closed_and_answers_complete() -> None:
    for name, schema in published().openapi["components"]["schemas"].items():
        if schema.get("type") == "object":
            assert schema["additionalProperties"] is False, name


def test_the_document_is_served() -> None:
    async def story(shop: Shop) -> None:
        client = shop.client()
        client.event_hooks = {}
        served = await ok(client.get("/openapi.json"))
        assert served["openapi"].startswith("3.1")
        assert served["paths"].keys() == published().openapi["paths"].keys()
        docs = await client.get("/docs")
        assert docs.status_code == 200
        assert "/openapi.json" in docs.text

    in_shop(story, stocked=False)


def refusals(tree: ast.Module) -> set[str]:
    """Codes that a module rejects with, as far as they are written out."""
    return {
        str(node.args[0].value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and getattr(node.func, "id", "") == "Rejected"
        and node.args
        and isinstance(node.args[0], ast.Constant)
    }


def test_whatever_a_decider_can_say_has_a_status() -> None:
    codes = {code for path in (ROOT / "models").rglob("*.py") for code in refusals(ast.parse(path.read_text()))}
    assert len(codes) > 20
    assert codes <= set(PROBLEMS), codes - set(PROBLEMS)


def test_a_state_that_forbids_is_a_conflict() -> None:
    for machine, table in MACHINES.items():
        for status in table:
            assert status_of(f"{machine}_{status}") == 409


def test_what_endpoints_publish_is_a_known_code() -> None:
    states = {f"{machine}_{status}" for machine, table in MACHINES.items() for status in table}
    for endpoint in endpoints():
        unknown = set(codes_of(endpoint)) - set(PROBLEMS) - states
        assert not unknown, (endpoint.path, unknown)


def test_statuses_are_written_in_one_place() -> None:
    """No module but `problems` refuses with a status of its own."""
    for path in (ROOT / "gateway").rglob("*.py"):
        if path.name in ("problems.py", "openapi.py"):
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") in ("Answer", "json_answer"):
                status = getattr(node.args[0], "value", 0)
                assert not isinstance(status, int) or status < 400, path

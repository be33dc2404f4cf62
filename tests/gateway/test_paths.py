"""Does every path lead where FastAPI's own routing would have led it?"""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.routing import Match

from gateway.app import create, endpoints
from gateway.paths import Paths
from gateway.services import Services


def app() -> Any:
    nothing: Any = None
    return create(Services(router=nothing, shards=1, sealer=nothing, wall=lambda: 0))


APP = app()
PARTS = sorted({part for endpoint in endpoints() for part in endpoint.path.split("/") if not part.startswith("{")})
METHODS = ("GET", "POST", "PUT", "DELETE", "HEAD")


def starlettes(method: str, path: str) -> tuple[Any, dict[str, str]] | None:
    """What Starlette's list of regular expressions finds: the first whole match."""
    for route in APP.router.routes:
        match, scope = route.matches({"type": "http", "method": method, "path": path, "root_path": ""})
        if match is Match.FULL:
            return route.app, scope["path_params"]
    return None


@pytest.mark.parametrize("endpoint", list(endpoints()), ids=lambda endpoint: f"{endpoint.method} {endpoint.path}")
def test_every_endpoint_is_found_by_its_path(endpoint: Any) -> None:
    path = endpoint.path.replace("{", "x-").replace("}", "")
    found = APP.served.find(endpoint.method, path)
    assert found is not None
    assert (found.target, found.params) == starlettes(endpoint.method, path)
    assert found.params == {name: f"x-{name}" for name in found.params}


@given(st.sampled_from(METHODS), st.lists(st.sampled_from([*PARTS, "ord_1", "%", "é", "a b"]), max_size=6))
def test_any_path_leads_where_starlette_leads_or_is_left_to_it(method: str, parts: list[str]) -> None:
    path = "/" + "/".join(parts)
    found = APP.served.find(method, path)
    if found is not None:
        assert tuple(found) == starlettes(method, path)


def test_what_is_not_there_is_not_found() -> None:
    paths: Paths[str] = Paths()
    paths.add("GET", "/v1/orders/{id}", "order")
    assert paths.find("GET", "/v1/orders/7") == ("order", {"id": "7"})
    for method, path in (("POST", "/v1/orders/7"), ("GET", "/v1/orders/"), ("GET", "/v1/orders"), ("GET", "")):
        assert paths.find(method, path) is None
    with pytest.raises(ValueError, match="taken"):
        paths.add("GET", "/v1/orders/{other}", "other")

"""The FastAPI application: every router behind one boundary."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.context import Gateway
from gateway.endpoint import Application, DirectRoute, Endpoint, as_answer, problem_of, send_answer
from gateway.openapi import document, operation_of, responses_of
from gateway.paths import Paths
from gateway.problems import Problem
from gateway.routers import (
    aftercare,
    analytics,
    batch,
    events,
    keys,
    operations,
    order_actions,
    order_lists,
    orders,
    parked,
    parties,
    products,
    stripe,
    tasks,
)
from gateway.services import Services

ROUTERS = (
    orders, batch, order_lists, events, order_actions, tasks, aftercare, products, parties, keys, stripe, operations,
    parked, analytics,
)  # fmt: skip
"""In the order in which paths are matched: the busiest first."""


def endpoints() -> Iterable[Endpoint]:
    """Everything that the gateway serves."""
    return [endpoint for router in ROUTERS for endpoint in router.routes.endpoints]


class GatewayApp(FastAPI):
    """FastAPI without its middleware: no endpoint here needs exit stacks or a second error handler, and each layer
    would cost every request some microseconds. A request whose path and method name an endpoint goes straight there
    (`served`): what is awaited is the endpoint's own coroutine. All others go through FastAPI's routing, with
    `Boundary` before it.

    It is an ASGI 3 application, which servers that look for a coroutine function have to be told.

    doors: by method and path, what turns new orders away that the door refuses (`protocol` asks it).
    """

    served: Paths[Application]
    doors: dict[tuple[str, str], Callable[[Scope], bool]]

    def build_middleware_stack(self) -> ASGIApp:
        return Boundary(self.router)

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Coroutine[Any, Any, None]:
        if scope["type"] == "http":
            found = self.served.find(scope["method"], scope["path"])
            if found is not None:
                target, scope["path_params"] = found
                return target(scope, receive, send)
        return super().__call__(scope, receive, send)


class Boundary:
    """Turns whatever escapes the routing (an unknown path, a wrong method, a bug) into a problem."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        try:
            await self._app(scope, receive, send)
        except HTTPException as error:
            await send_answer(send, as_answer(_problem_of(error)))
        except Exception as error:
            await send_answer(send, as_answer(problem_of(error)))


def _problem_of(error: HTTPException) -> Problem:
    if error.status_code == 405:
        return Problem("method_not_allowed", allow=(error.headers or {}).get("Allow", ""))
    return Problem("not_found")


def create(services: Services) -> FastAPI:
    """The application on these services. Whoever runs it opens and closes the services, and calls `stop` of
    `app.state.gateway` when it begins to shut down."""
    app = GatewayApp(title="Dray", version=_version(), redirect_slashes=False)
    app.served, app.doors = Paths(), {}
    gateway = app.state.gateway = Gateway(services)
    app.router.route_class = DirectRoute
    served = list(endpoints())
    for endpoint in served:
        _serve(app, gateway, endpoint)

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = document(app.version, app.routes, served)
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]
    return app


def _serve(app: GatewayApp, gateway: Gateway, endpoint: Endpoint) -> None:
    summary, _, description = (endpoint.handler.__doc__ or "").strip().partition("\n")
    app.router.add_api_route(
        endpoint.path,
        _documented,
        methods=[endpoint.method],
        name=endpoint.name,
        operation_id=_operation_id(endpoint),
        tags=[endpoint.tag],
        summary=summary.rstrip("."),
        description=" ".join(line.strip() for line in description.strip().splitlines()),
        status_code=min(endpoint.answers),
        responses=responses_of(endpoint),
        openapi_extra=operation_of(endpoint),
        response_model=None,
    )
    route = app.router.routes[-1]
    assert isinstance(route, DirectRoute)
    pipeline = route.serve(gateway, endpoint)
    app.served.add(endpoint.method, endpoint.path, pipeline.run)
    if endpoint.arrivals:
        app.doors[endpoint.method, endpoint.path] = pipeline.turns_away


def _operation_id(endpoint: Endpoint) -> str:
    """The handler's name; an alias under another path needs one of its own."""
    return (
        endpoint.name if not endpoint.path.startswith(("/v1/returns/", "/v1/disputes/")) else f"{endpoint.name}_alias"
    )


async def _documented() -> None:
    """Stands where FastAPI wants an endpoint; `DirectRoute` answers instead."""


def _version() -> str:
    try:
        return version("dray")
    except PackageNotFoundError:
        return "0.0.0"

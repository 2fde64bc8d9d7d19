"""Routes that answer 405 with all of their methods where another method is asked for."""

from collections.abc import Awaitable, Callable, Mapping

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match, Route
from starlette.types import Scope

Endpoint = Callable[[Request], Awaitable[Response]]


class OwnRoute(Route):
    """A route that alone decides about its path.

    Starlette looks for another route that takes the method, and finds a mount that does not know the path.
    """

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        match, child = super().matches(scope)
        return (Match.FULL if match is Match.PARTIAL else match), child


def route_by_method(path: str, endpoints: Mapping[str, Endpoint]) -> OwnRoute:
    """Make one route of the endpoints of several methods. HEAD is answered like GET."""

    async def answer(request: Request) -> Response:
        return await endpoints["GET" if request.method == "HEAD" else request.method](request)

    return OwnRoute(path, answer, methods=list(endpoints))

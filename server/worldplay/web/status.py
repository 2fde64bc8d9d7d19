"""The endpoints that say how the server is: /health, /live, /ready and /metrics."""

from cachetools import TTLCache
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute

from worldplay.engine.engine import Engine
from worldplay.settings import Settings
from worldplay.web.monitoring import Metrics, describe_health
from worldplay.web.operator_metrics import OperatorMetrics
from worldplay.web.routes import OwnRoute
from worldplay.world.world import World

METRICS_S = 0.05  # how old the answer may be


def status_routes(
    settings: Settings, world: World, engine: Engine, metrics: Metrics, details: OperatorMetrics
) -> list[BaseRoute]:
    """The routes for supervisors and Prometheus. None of them needs a token."""

    async def health(request: Request) -> Response:
        body = describe_health(settings, world, engine)
        content = body.model_dump_json()
        return Response(content, 200 if body.ready else 503, media_type="application/json")

    async def live(request: Request) -> Response:
        return PlainTextResponse("live" if engine.is_live else "failed", 200 if engine.is_live else 503)

    async def ready(request: Request) -> Response:
        return PlainTextResponse("ready" if engine.healthy else "not ready", 200 if engine.healthy else 503)

    # Exporting takes some ms, which many who ask would add up.
    exported: TTLCache[str, bytes] = TTLCache(1, METRICS_S)

    async def export_metrics(request: Request) -> Response:
        if (content := exported.get("metrics")) is None:
            content = exported["metrics"] = metrics.export() + details.export()
        return Response(content, media_type=metrics.media_type)

    return [
        OwnRoute("/health", health),
        OwnRoute("/live", live),
        OwnRoute("/ready", ready),
        OwnRoute("/metrics", export_metrics),
    ]

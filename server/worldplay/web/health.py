"""How the server is, for /health."""

from worldplay.engine.engine import Engine
from worldplay.settings import Settings
from worldplay.web.schemas import Health, JobCounts, SessionCounts
from worldplay.world.released.variants import VARIANTS
from worldplay.world.world import World


def describe_health(settings: Settings, world: World, engine: Engine) -> Health:
    """The engine at this moment."""
    ready, stats = engine.healthy, engine.stats()
    places = engine.max_sessions if world.can_walk else 0
    variant = VARIANTS.get(world.name)
    return Health(
        status="ok" if ready else "failed",
        model_path=settings.model,
        model_type=world.name,
        action_ckpt="transformer.safetensors" if variant is None else variant.folder,
        pipeline_loaded=True,  # or the server would not have started
        live=True,
        ready=ready,
        model=world.name,
        can_walk=world.can_walk,
        device=str(world.device),
        sessions=SessionCounts(active=stats.sessions, queued=stats.queued, max=places),
        jobs=JobCounts(queued=stats.clips_queued, max=settings.max_jobs),
    )

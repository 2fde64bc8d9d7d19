"""Reports on a finished clip: a summary for people, and everything needed to make it again."""

from pathlib import Path

from worldplay.clips.plan import ClipPlan
from worldplay.clips.writer import ClipReport, timings_of
from worldplay.world.camera import DEFAULT_INTRINSICS
from worldplay.world.recorded_walk import describe_cut
from worldplay.world.steering import PosedCamera
from worldplay.world.world import World

STAGES = ("select", "context", "denoise", "decode", "encode")


def describe(
    world: World, plan: ClipPlan, report: ClipReport, image: dict[str, str] | None
) -> dict[str, object]:
    """Collect everything needed to make the clip again, as a recorded walk that `--pose` can read."""
    chunks = [done.report.chunk for done in report.chunks]
    description: dict[str, object] = {
        "model": world.name,
        "size": [world.width, world.height],
        "fps": world.fps,
        "frames": plan.num_frames,
        "seed": plan.seed,
        "prompt": plan.request.walk.prompt,
        "view": plan.request.walk.view,
        "image": image,
        "steps": plan.request.walk.steps or world.rollout.config.steps,
        "shift": world.rollout.config.shift,
        "wall_s": round(report.wall_s, 3),
        "cpu_s": round(report.cpu_s, 3),
        "timings_ms": _rounded(report.timings_ms()),
        "chunks": [
            {
                "index": chunk.report.chunk.index,
                "frames": chunk.report.chunk.num_frames,
                **_rounded(timings_of(chunk)),
            }
            for chunk in report.chunks
        ],
        "poses": [pose.reshape(16).tolist() for chunk in chunks for pose in chunk.poses],
        "labels": [label for chunk in chunks for label in chunk.labels],
    }
    if intrinsics := _given_intrinsics(plan):
        description["intrinsics"] = intrinsics
    if plan.trajectory.prompts:
        description["prompts"] = [
            {"latent": latent, "text": text} for latent, text in plan.trajectory.prompts.items()
        ]
    if plan.request.cuts:
        description["cuts"] = [describe_cut(cut) for cut in plan.trajectory.cuts]
    return description


def _given_intrinsics(plan: ClipPlan) -> list[object]:
    """Return the intrinsics of every latent; empty if the trajectory gives none."""
    placed = [plan.trajectory.origin, *plan.trajectory.moves]
    given = [step.intrinsics if isinstance(step, PosedCamera) else None for step in placed]
    if all(lens is None for lens in given):
        return []
    return [(DEFAULT_INTRINSICS if lens is None else lens).tolist() for lens in given]


def _rounded(times_ms: dict[str, float]) -> dict[str, float]:
    return {stage: round(time_ms, 2) for stage, time_ms in times_ms.items()}


def summarise(world: World, plan: ClipPlan, report: ClipReport, out: Path) -> str:
    """Write two lines for people."""
    times = report.timings_ms()
    stages = ", ".join(f"{stage} {times.get(stage, 0.0) / 1000:.2f}" for stage in STAGES)
    return (
        f"{out}: {plan.num_frames} frames of {world.width}x{world.height} in {report.wall_s:.2f} s "
        f"({plan.num_frames / report.wall_s:.1f} frames/s, {report.cpu_s:.2f} s of CPU); seed {plan.seed}\n"
        f"seconds: {stages}"
    )

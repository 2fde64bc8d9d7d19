"""Measures how much the VAE loses, in every light, over a long stream."""

from dataclasses import asdict, dataclass

import numpy as np

from evaluation.lab import Lab
from evaluation.metrics import Frames, Scores, compare, mean_scores, psnr
from evaluation.report import Report, Row
from evaluation.routes import held_out
from evaluation.scale import Scale
from evaluation.strips import save_strip
from evaluation.workers import Workers
from training.chunks import CHUNK
from training.vae_streams import reconstruct
from worldplay.world.courtyard.light import LIGHTS

SPAN = 32  # frames that are scored together
_SHOWN = 6  # frames of each strip


@dataclass(frozen=True, slots=True)
class Stream:
    """One stream: scores by span and of all frames; dB better than compared with neighbouring frames."""

    spans: list[Scores]
    whole: Scores
    aligned_db: float
    shown: tuple[Frames, Frames]  # the truth and what came out


def measure(workers: Workers, scale: Scale) -> Report:
    """Make a row for each light."""
    jobs = [(i, scale.vae_frames, light) for light in LIGHTS for i in range(scale.vae_walks)]
    streams = workers.map("vae", run_stream, jobs)
    rows: list[Row] = []
    strip: dict[str, list[Frames]] = {}
    for light in LIGHTS:
        own = [stream for (_, _, name), stream in zip(jobs, streams, strict=True) if name == light]
        rows.append(_row(light, own))
        strip[f"{light}, true"], strip[f"{light}, VAE"] = map(list, own[0].shown)
    shown = [f"frame {i}" for i in _shown(scale.vae_frames)]
    save_strip(workers.strips / "vae.png", strip, shown)
    aligned = min(stream.aligned_db for stream in streams)
    return Report(
        "VAE alone",
        f"{scale.vae_walks} held-out walks in each light, {scale.vae_frames} frames each, encoded and "
        "decoded as one stream, latent by latent. PSNR in dB, by frame numbers.",
        rows,
        [
            "Every decoded walk is nearer to its own true frames than to the frames one earlier or later, "
            f"by at least {aligned:.1f} dB."
        ]
        if aligned > 0
        else [
            f"Misaligned: some walk is nearer to neighbouring frames than to its own, by {-aligned:.1f} dB."
        ],
        {
            "streams": [
                [light, i, [asdict(span) for span in s.spans]]
                for (i, _, light), s in zip(jobs, streams, strict=True)
            ]
        },
    )


def run_stream(lab: Lab, index: int, num_frames: int, light: str) -> Stream:
    """Encode and decode one held-out walk."""
    latents = (num_frames + 3) // 4
    c2w = held_out(index, -(-latents // CHUNK)).c2w()[:latents]
    truth = lab.truth(c2w, light)
    made, _ = reconstruct(lab.world.vae, truth)
    starts = range(0, num_frames - SPAN // 2, SPAN)
    spans = [compare(made[a : a + SPAN], truth[a : a + SPAN]) for a in starts]
    neighbours = max(psnr(made[1:], truth[:-1]), psnr(made[:-1], truth[1:]))
    shown = _shown(num_frames)
    whole = compare(made, truth)
    return Stream(spans, whole, psnr(made, truth) - neighbours, (truth[shown], made[shown]))


def _row(light: str, streams: list[Stream]) -> Row:
    row: Row = {"light": light}
    for number, spans in enumerate(zip(*(stream.spans for stream in streams), strict=True)):
        row[f"{SPAN * number + 1}-{SPAN * (number + 1)}"] = mean_scores(spans).psnr
    whole = mean_scores([stream.whole for stream in streams])
    return row | {"SSIM": whole.ssim, "GMSD": whole.gmsd, "sharpness": whole.sharpness}


def _shown(num_frames: int) -> list[int]:
    return [int(i) for i in np.linspace(0, num_frames - 1, _SHOWN)]

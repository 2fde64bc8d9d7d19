"""WorldPlay Live on Modal: the page, its WebSocket and the HTTP API on one GPU. See docs/deploy.md."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

try:
    import modal
except ModuleNotFoundError:
    sys.exit("Modal's client is missing: pip install modal, then modal setup")

if TYPE_CHECKING:
    from starlette.applications import Starlette

GPU = "H100"
VARIANT = "ar-distilled"
SIZE = "240x416"  # in real time on one H200; larger sizes are shown in slow motion
WEIGHTS = "/weights"
REPOSITORY = Path(__file__).resolve().parents[1]
IDLE_S = 300  # until an unused GPU is stopped
START_S = 900  # to read 40 GB of weights from the volume
VISIT_S = 3600  # the longest visit

app = modal.App("worldplay-live")
volume = modal.Volume.from_name("worldplay-weights", create_if_missing=True)
image = (
    modal.Image.debian_slim(python_version="3.12")
    .add_local_file(REPOSITORY / "requirements.lock", "/src/requirements.lock", copy=True)
    .add_local_file(REPOSITORY / "pyproject.toml", "/src/pyproject.toml", copy=True)
    .add_local_file(REPOSITORY / "README.md", "/src/README.md", copy=True)
    .add_local_file(REPOSITORY / "LICENSE", "/src/LICENSE", copy=True)
    .add_local_dir(REPOSITORY / "server", "/src/server", copy=True, ignore=["**/__pycache__"])
    .run_commands("pip install -c /src/requirements.lock -e /src")
    .env(
        {
            "WORLDPLAY_MODEL": "hy-worldplay",
            "WORLDPLAY_VARIANT": VARIANT,
            "WORLDPLAY_SIZE": SIZE,
            "WORLDPLAY_WEIGHTS_DIR": WEIGHTS,
        }
    )
)


@app.function(image=image, volumes={WEIGHTS: volume}, timeout=4 * 3600)
def download() -> None:
    """Fill the volume, once: `modal run scripts/modal_app.py::download`. Calling it accepts the licence."""
    import subprocess

    subprocess.run(["worldplay", "download", "--variant", VARIANT, "--yes"], check=True)
    volume.commit()


@app.function(
    image=image,
    gpu=GPU,
    volumes={WEIGHTS: volume},
    secrets=[modal.Secret.from_name("worldplay-token")],  # WORLDPLAY_TOKEN
    min_containers=0,
    max_containers=1,  # sessions live in one process
    scaledown_window=IDLE_S,
    startup_timeout=START_S,
    timeout=VISIT_S,
)
@modal.concurrent(max_inputs=100)
@modal.asgi_app()
def serve() -> "Starlette":
    """Return the application to Modal: POST /api/generate-video, GET /health, /ws and the page."""
    return make_app()


def make_app(**settings: Any) -> "Starlette":
    """Build the application as `worldplay serve` does, from the environment."""
    from worldplay.settings import load_settings
    from worldplay.web.app import load_app

    return load_app(load_settings(**settings))

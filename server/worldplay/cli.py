"""The command line: one function for each `worldplay` command, which reads its arguments and settings."""

import sys
from importlib.metadata import version
from pathlib import Path
from typing import Annotated

import typer

from worldplay.commands.options import refuse, refuse_released_options
from worldplay.commands.paths import check_writable
from worldplay.commands.streams import prepare_streams
from worldplay.settings import Settings, load_model_settings, load_settings
from worldplay.world.rollout_config import MAX_SEED, MAX_STEPS

app = typer.Typer(
    add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False, rich_markup_mode=None
)


def main() -> None:
    """Run a command. An error that the operator can fix ends it with one sentence and exit code 2."""
    prepare_streams()
    try:
        app()
    except (ValueError, OSError) as error:
        print(f"worldplay: {error}", file=sys.stderr)  # noqa: T201  # the log may not be configured yet
        sys.exit(2)


def _help(name: str) -> str:
    """Describe a setting, with its default."""
    field = Settings.model_fields[name]
    default = "none" if field.default is None else str(field.default).replace(str(Path.home()), "~", 1)
    return f"{field.description} [{default}]."


Host = Annotated[str | None, typer.Option(help=_help("host"))]
Port = Annotated[int | None, typer.Option(help=_help("port"))]
Model = Annotated[str | None, typer.Option(help=_help("model"))]
Variant = Annotated[str | None, typer.Option(help=_help("variant"))]
Size = Annotated[str | None, typer.Option(help=_help("size"))]
WeightsDir = Annotated[Path | None, typer.Option(help=_help("weights_dir"))]
Device = Annotated[str | None, typer.Option(help=_help("device"))]
Gpus = Annotated[int | None, typer.Option(help=_help("gpus"))]
Attention = Annotated[str | None, typer.Option(help=_help("attention"))]
Tier = Annotated[str | None, typer.Option(help=_help("tier"))]
Graphs = Annotated[str | None, typer.Option(help=_help("graphs"))]
Sessions = Annotated[int | None, typer.Option(help=_help("max_sessions"))]
Latch = Annotated[str | None, typer.Option(help=_help("latch"))]
Token = Annotated[str | None, typer.Option(help=_help("token"))]
TokenFile = Annotated[Path | None, typer.Option(help=_help("token_file"))]
AllowOrigin = Annotated[str | None, typer.Option(help=_help("allow_origin"))]
AllowHost = Annotated[str | None, typer.Option(help=_help("allow_host"))]
LogFormat = Annotated[str | None, typer.Option(help=_help("log_format"))]
LogLevel = Annotated[str | None, typer.Option(help=_help("log_level"))]


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"worldplay {version('worldplay-live')}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Walk through a world that a video model generates. Every command has a --help."""


@app.command()
def serve(
    host: Host = None,
    port: Port = None,
    model: Model = None,
    variant: Variant = None,
    size: Size = None,
    weights_dir: WeightsDir = None,
    device: Device = None,
    gpus: Gpus = None,
    attention: Attention = None,
    tier: Tier = None,
    graphs: Graphs = None,
    max_sessions: Sessions = None,
    latch: Latch = None,
    token: Token = None,
    token_file: TokenFile = None,
    allow_origin: AllowOrigin = None,
    allow_host: AllowHost = None,
    log_level: LogLevel = None,
    log_format: LogFormat = None,
) -> None:
    """Serve the page and let visitors walk."""
    settings = load_settings(
        host=host,
        port=port,
        model=model,
        variant=variant,
        size=size,
        weights_dir=weights_dir,
        device=device,
        gpus=gpus,
        attention=attention,
        tier=tier,
        graphs=graphs,
        max_sessions=max_sessions,
        latch=latch,
        token=token,
        token_file=token_file,
        allow_origin=allow_origin,
        allow_host=allow_host,
        log_level=log_level,
        log_format=log_format,
    )
    refuse_released_options(settings, variant, size, weights_dir)
    from worldplay.commands.serve import run

    run(settings)


@app.command()
def render(
    model: Model = None,
    device: Device = None,
    gpus: Gpus = None,
    attention: Attention = None,
    tier: Tier = None,
    prompt: Annotated[str | None, typer.Option(help="What the world looks like.")] = None,
    image: Annotated[Path | None, typer.Option(help="Picture to start from: PNG, JPEG or WebP.")] = None,
    view: Annotated[str | None, typer.Option(help="Start view of the model, if no picture is given.")] = None,
    pose: Annotated[
        str | None,
        typer.Option(
            help="Where to go: 'w-10,right-5' (latents), or a JSON file of poses [straight ahead]. "
            "A saved walk decides everything. "
            "A recorded walk also sets view, prompt, seed and steps unless they are given; "
            "if it began at a picture, give that --image."
        ),
    ] = None,
    frames: Annotated[
        int | None, typer.Option(help="13, 29, 45, 61, ... [as many as poses, or 125].")
    ] = None,
    seed: Annotated[int | None, typer.Option(min=0, max=MAX_SEED, help="Seed of the noise [random].")] = None,
    steps: Annotated[
        int | None, typer.Option(min=1, max=MAX_STEPS, help="Denoising steps [the model's].")
    ] = None,
    variant: Variant = None,
    size: Size = None,
    weights_dir: WeightsDir = None,
    out: Annotated[Path, typer.Option("--out", "-o", help="The MP4 to write.")] = Path("clip.mp4"),
    metadata: Annotated[
        Path | None,
        typer.Option(
            "--json", help="Also write seed, timings, poses and labels to this file, which --pose can read."
        ),
    ] = None,
    overlay: Annotated[bool, typer.Option("--overlay", help="Draw the pressed keys on the frames.")] = False,
) -> None:
    """Write a clip to an MP4, which can be played while it grows."""
    settings = load_model_settings(
        model=model,
        variant=variant,
        size=size,
        weights_dir=weights_dir,
        device=device,
        gpus=gpus,
        attention=attention,
        tier=tier,
    )
    refuse_released_options(settings, variant, size, weights_dir)
    from worldplay.commands.render import RenderOptions, run

    run(
        settings,
        RenderOptions(
            out=out,
            prompt=prompt,
            image=image,
            view=view,
            pose=pose,
            num_frames=frames,
            seed=seed,
            steps=steps,
            variant=variant,
            size=size,
            metadata=metadata,
            overlay=overlay,
        ),
    )


@app.command()
def replay(
    walk: Annotated[Path, typer.Argument(help="A saved walk, as the page downloads it.")],
    model: Model = None,
    variant: Variant = None,
    size: Size = None,
    weights_dir: WeightsDir = None,
    device: Device = None,
    gpus: Gpus = None,
    attention: Attention = None,
) -> None:
    """Make a saved walk again, and say whether its latents are the same."""
    settings = load_model_settings(
        model=model,
        variant=variant,
        size=size,
        weights_dir=weights_dir,
        device=device,
        gpus=gpus,
        attention=attention,
    )
    refuse_released_options(settings, variant, size, weights_dir)
    from worldplay.commands.replay import run

    if not run(settings, walk):
        raise typer.Exit(1)


@app.command()
def bench(
    model: Model = None,
    variant: Variant = None,
    size: Size = None,
    weights_dir: WeightsDir = None,
    device: Device = None,
    gpus: Gpus = None,
    attention: Attention = None,
    tier: Tier = None,
    graphs: Graphs = None,
    chunks: Annotated[
        int | None, typer.Option(min=1, max=10_000, help="Chunks to time [30; 5 of random weights].")
    ] = None,
    random_weights: Annotated[
        bool, typer.Option("--random-weights", help="With --model hy-worldplay: use random weights.")
    ] = False,
    context: Annotated[int | None, typer.Option(help="With --random-weights: context latents [20].")] = None,
    blocks: Annotated[
        int | None,
        typer.Option(
            min=1, help="With --random-weights: of the 54 blocks, how many [54; at most 2 on a CPU]."
        ),
    ] = None,
    url: Annotated[
        str | None, typer.Option(help="Measure what this running server delivers instead: ws://HOST:PORT.")
    ] = None,
    sessions: Annotated[int | None, typer.Option(min=1, max=1000, help="With --url: sessions [1].")] = None,
    seconds: Annotated[
        float | None, typer.Option(min=1, max=86_400, help="With --url: how long each walks [20].")
    ] = None,
    token: Annotated[str | None, typer.Option(help="With --url: the server's secret.")] = None,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Also write the numbers to this file.")
    ] = None,
) -> None:
    """Time a chunk, stage by stage, and compare with what the machine can do; or measure a running server."""
    if url is not None:
        refuse(
            "with --url",
            {
                "--model": model,
                "--variant": variant,
                "--size": size,
                "--weights-dir": weights_dir,
                "--device": device,
                "--gpus": gpus,
                "--attention": attention,
                "--tier": tier,
                "--graphs": graphs,
                "--chunks": chunks,
                "--random-weights": random_weights or None,
                "--context": context,
                "--blocks": blocks,
            },
        )
        _bench_delivery(url, sessions, seconds, token, json_file)
        return
    refuse("without --url", {"--sessions": sessions, "--seconds": seconds, "--token": token})
    settings = load_model_settings(
        model=model,
        variant=variant,
        size=size,
        weights_dir=weights_dir,
        device=device,
        gpus=gpus,
        attention=attention,
        tier=tier,
        graphs=graphs,
    )
    if random_weights and settings.model != "hy-worldplay":
        raise ValueError(f"expected --model hy-worldplay with --random-weights, got {settings.model!r}")
    if random_weights:
        refuse("with --random-weights", {"--variant": variant, "--weights-dir": weights_dir})
    else:
        refuse("without --random-weights", {"--context": context, "--blocks": blocks})
    refuse_released_options(settings, variant, size, weights_dir)
    check_writable(json_file)
    from worldplay.commands.bench import RandomModel, run
    from worldplay.world.frames import parse_size

    asked = RandomModel(parse_size(settings.size), 20 if context is None else context, blocks)
    run(settings, chunks or (5 if random_weights else 30), asked if random_weights else None, json_file)


def _bench_delivery(
    url: str, sessions: int | None, seconds: float | None, token: str | None, json_file: Path | None
) -> None:
    check_writable(json_file)
    from worldplay.commands.bench_delivery import SECONDS, SESSIONS, run

    if not run(url, sessions or SESSIONS, seconds or SECONDS, token, json_file):
        raise typer.Exit(1)


@app.command()
def download(
    variant: Variant = None,
    layout: Annotated[
        str, typer.Option(help="Layout of the encoders: 'diffusers', or 'original' (gated).")
    ] = "diffusers",
    weights_dir: WeightsDir = None,
    yes: Annotated[bool, typer.Option("--yes", help="Accept the terms without being asked.")] = False,
    verify: Annotated[
        bool, typer.Option("--verify", help="Also compare every byte of existing files; takes minutes.")
    ] = False,
) -> None:
    """Download a released model. Show first what, how much and under which terms."""
    settings = load_model_settings(variant=variant, weights_dir=weights_dir)
    from worldplay.commands.download import download
    from worldplay.hub.client import HuggingFace
    from worldplay.hub.sources import check_layout
    from worldplay.world.released.variants import find_variant

    def agree(question: str) -> bool:
        if not yes and not sys.stdin.isatty():
            raise OSError("expected --yes, because there is no terminal to ask for consent")
        return yes or typer.confirm(question)

    download(
        find_variant(settings.variant),
        check_layout(layout),
        settings.weights_dir,
        agree,
        HuggingFace(),
        verify=verify,
    )


@app.command()
def models(weights_dir: WeightsDir = None) -> None:
    """List all models, which of them are on this disk, and what each needs."""
    settings = load_model_settings(weights_dir=weights_dir)
    from worldplay.commands.list_models import run

    run(settings.weights_dir)


@app.command()
def doctor(
    variant: Variant = None,
    size: Size = None,
    device: Device = None,
    gpus: Gpus = None,
    tier: Tier = None,
    memory: Annotated[
        float | None, typer.Option(min=1, max=100_000, help="Plan for a GPU with this many GB.")
    ] = None,
    max_sessions: Sessions = None,
    weights_dir: WeightsDir = None,
    check: Annotated[
        bool, typer.Option("--check", help="Also build the networks from the files; takes seconds.")
    ] = False,
) -> None:
    """Show whether a released model fits into this machine, for how many visitors, and what walks in time."""
    if memory is not None:
        refuse("with --memory", {"--tier": tier})
    settings = load_model_settings(
        variant=variant,
        size=size,
        device=device,
        gpus=gpus,
        tier=tier,
        weights_dir=weights_dir,
        max_sessions=max_sessions,
    )
    from worldplay.commands.doctor import run

    run(settings, memory, check=check)

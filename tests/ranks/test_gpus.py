"""The exchanges by NCCL, where there are GPUs: with one, a rank exchanges with itself.

The test of a rank that dies also runs on a CPU.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
import torch.distributed as dist

import check_goldens
from goldens import networks
from goldens.cases import Place, read_manifest
from goldens.weights import fill
from support.paths import ENVIRONMENT, GOLDENS
from support.ranks import make_nothing, share
from worldplay.model.ranks import Ranks
from worldplay.model.transformer import WorldPlayTransformer
from worldplay.ranks.exchange import Exchange
from worldplay.ranks.group import join_group
from worldplay.ranks.team import lead

MANIFEST = read_manifest(GOLDENS)
ROLLOUTS = [name for name, case in MANIFEST.cases.items() if case["kind"] == "rollout"]
NUM_GPUS = torch.cuda.device_count()


@pytest.fixture(scope="module", params=[1, 2, 4, 8])
def ranks(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ranks]:
    if request.param > NUM_GPUS:
        pytest.skip(f"{request.param} GPUs are needed")
    if request.param > 1:
        with lead(request.param, "cuda", make_nothing) as leader:
            yield leader
        return
    join_group("cuda", 0, 1, str(Path(tmp_path_factory.mktemp("ranks"), "meeting")))
    yield Exchange(0, 1)
    dist.destroy_process_group()


@pytest.mark.parametrize("name", ROLLOUTS)
def test_rollout(ranks: Ranks, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    def fill_and_share(model: WorldPlayTransformer) -> WorldPlayTransformer:
        share(ranks, fill(model).eval())
        return model

    check_goldens.forbid_tf32()
    monkeypatch.setattr(networks, "fill", fill_and_share)
    row = check_goldens.check_case(MANIFEST, name, Place(torch.device("cuda")))
    assert row.failures == []
    assert row.outputs == len(MANIFEST.cases[name]["outputs"])


@pytest.mark.parametrize(
    "kind",
    [
        pytest.param("cpu", marks=pytest.mark.slow),
        pytest.param("cuda", marks=pytest.mark.skipif(NUM_GPUS < 2, reason="2 GPUs are needed")),
    ],
)
def test_rank_that_dies_in_an_exchange_ends_the_other(kind: str) -> None:
    script = f"from support.ranks import exchange_for_ever; exchange_for_ever({kind!r})"
    command, pipe = [sys.executable, "-c", script], subprocess.PIPE
    environment = {**os.environ, **ENVIRONMENT}
    with subprocess.Popen(command, env=environment, stdout=pipe, stderr=pipe, text=True) as leader:
        assert leader.stdout is not None
        assert leader.stderr is not None
        os.kill(int(leader.stdout.readline()), signal.SIGKILL)
        assert leader.wait(10) == 1
        expected = "worldplay: rank 1 of 2 was killed by SIGKILL; the others cannot go on without it\n"
        assert leader.stderr.read() == expected

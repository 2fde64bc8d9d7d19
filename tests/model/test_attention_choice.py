import pytest
import torch

from worldplay.model import attention_choice
from worldplay.model.attention import MATMUL, SDPA, attend
from worldplay.model.attention_choice import Measured, choose, find_problem, measure


def make_qkv(dtype: torch.dtype = torch.float32) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    q, k, v = torch.randn(3, 1, 4, 32, 16, generator=torch.Generator().manual_seed(0)).to(dtype)
    return q, k, v


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("backend", [SDPA, MATMUL, "sdpa-math", "native"])
def test_backends_of_a_cpu_are_exact(backend: str, dtype: torch.dtype) -> None:
    assert find_problem(backend, make_qkv(dtype)) is None


@pytest.mark.parametrize(
    ("backend", "problem"),
    [
        ("telepathy", "'telepathy' is not a valid"),
        ("sdpa-cudnn", "RuntimeError"),
        ("flashinfer", "No module named"),
        ("_flash_3_hub", "`kernels` package isn't available"),
    ],
)
def test_a_backend_that_is_not_there_is_a_problem(backend: str, problem: str) -> None:
    found = find_problem(backend, make_qkv())
    assert found is not None
    assert problem in found


@pytest.mark.parametrize("wrong", [1.05, float("nan")])
def test_a_backend_that_is_not_exact_is_a_problem(monkeypatch: pytest.MonkeyPatch, wrong: float) -> None:
    def attend_noisily(
        q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, backend: str = SDPA
    ) -> torch.Tensor:
        return wrong * attend(q, k, v) if backend == "noisy" else attend(q, k, v, backend)

    monkeypatch.setattr(attention_choice, "attend", attend_noisily)
    measured = measure("noisy", [(make_qkv(), 1)], lambda: None)
    assert measured.problem is not None
    assert measured.problem.startswith("differs from float32 by")


@pytest.mark.parametrize(
    ("times", "chosen"),
    [
        ({SDPA: 10.0, MATMUL: 8.0}, MATMUL),
        ({SDPA: 10.0, MATMUL: 9.5}, SDPA),
        ({SDPA: 10.0, MATMUL: 8.0, "flash": 7.0}, "flash"),
        ({}, SDPA),
    ],
)
def test_the_fastest_is_chosen_if_it_is_clearly_so(times: dict[str, float], chosen: str) -> None:
    assert choose([Measured(name, ms) for name, ms in times.items()]) == chosen


def test_what_has_a_problem_is_not_chosen() -> None:
    assert choose([Measured(SDPA, 10.0), Measured("sage", 0.0, "differs")]) == SDPA
    assert choose([Measured(SDPA, 0.0, "fails"), Measured(MATMUL, 10.0)]) == MATMUL


def test_a_backend_is_timed_in_every_use() -> None:
    waits: list[bool] = []
    measured = measure(MATMUL, [(make_qkv(), 4), (make_qkv(), 1)], lambda: waits.append(True))
    assert measured.ms > 0
    assert len(waits) == 2 * 2 * (1 + attention_choice.ROUNDS)


def test_rounds_that_other_work_delayed_do_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    rounds_ms = [0.5, 9.0, 9.0, 9.0, 2.0, 1.0]  # the first one is for warming up
    times = iter([time for ms in rounds_ms for time in (0.0, ms / 1000)])
    monkeypatch.setattr(attention_choice, "perf_counter", lambda: next(times))
    assert measure(MATMUL, [(make_qkv(), 1)], lambda: None).ms == 1.0


def test_a_use_counts_as_often_as_a_chunk_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    took = iter([6.0, 30.0])
    monkeypatch.setattr(attention_choice, "_least_ms", lambda *_: next(took))
    assert measure(MATMUL, [(make_qkv(), 4), (make_qkv(), 1)], lambda: None).ms == 4 * 6.0 + 30.0


def test_a_backend_that_is_only_wrong_with_many_keys_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    def attend_to_few(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, backend: str = SDPA) -> torch.Tensor:
        few = 1024 if backend == "forgetful" else None
        return attend(q, k[:, :, :few], v[:, :, :few])

    monkeypatch.setattr(attention_choice, "attend", attend_to_few)
    q, k, v = torch.randn(3, 1, 4, 2048, 16, generator=torch.Generator().manual_seed(0))
    measured = measure("forgetful", [(make_qkv(), 1), ((q, k, v), 1)], lambda: None)
    assert measured.problem is not None
    assert measured.problem.startswith("differs from float32 by")


def test_an_error_of_a_packages_own_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    class CompilationError(Exception):
        """As Triton has one."""

    def attend_nowhere(*_: object) -> torch.Tensor:
        raise CompilationError("no such instruction")

    monkeypatch.setattr(attention_choice, "attend", attend_nowhere)
    assert find_problem("sage", make_qkv()) == "CompilationError: no such instruction"


def test_a_backend_that_runs_out_of_memory_at_the_full_shape_is_a_problem(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def attend_to_little(
        q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, backend: str = SDPA
    ) -> torch.Tensor:
        if q.shape[2] > 128:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return attend(q, k, v, backend)

    monkeypatch.setattr(attention_choice, "attend", attend_to_little)
    q, k, v = torch.randn(3, 1, 4, 256, 16)
    assert measure(SDPA, [((q, k, v), 1)], lambda: None).problem == "OutOfMemoryError: CUDA out of memory"

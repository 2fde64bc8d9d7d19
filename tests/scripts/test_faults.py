"""The short form of the fault bench, against real servers."""

from pathlib import Path

import pytest

from fault_bench.bench import Row, render, try_fault
from fault_bench.endings import ENDINGS
from fault_bench.faults import FAULTS
from faults import is_wanted, run

# One after the other with a walker beside them. What is left out shows nothing that the others do not.
LEFT_OUT = ("one byte a second", "half open and never reading", "read only disk")
COMMON = [name for name in FAULTS if name not in LEFT_OUT]
ALONE = [name for name in ENDINGS if name not in ("SIGKILL of the server", "two servers with one store")]


@pytest.fixture
def tiny_servers(monkeypatch: pytest.MonkeyPatch, tiny_model: str) -> None:
    monkeypatch.setenv("WORLDPLAY_MODEL", tiny_model)


@pytest.mark.slow
@pytest.mark.timeout(400)
@pytest.mark.usefixtures("tiny_servers")
def test_no_fault_hurts_a_walker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(FAULTS, "nothing", lambda bench: "nothing")
    usual, *rows = run(["nothing", *COMMON], tmp_path, is_short=True, least_shown=0.0)
    assert usual.shown is not None
    least_shown = 0.3 * min(1.0, usual.shown)  # other tests may run meanwhile
    assert all(row.survived and (row.shown or 0.0) >= least_shown for row in rows), render([usual, *rows])


@pytest.mark.slow
@pytest.mark.timeout(400)
@pytest.mark.usefixtures("tiny_servers")
def test_servers_end_as_they_should(tmp_path: Path) -> None:
    rows = run(ALONE, tmp_path, is_short=True)
    assert all(row.survived for row in rows), render(rows)


def test_table_says_what_was_not_survived() -> None:
    rows = [Row("a", "fine", 0.99, 0.1, 3, 1), Row("b", "so so", 0.5, problem="slow"), Row("c", "FAILED: no")]
    assert [row.survived for row in rows] == [True, False, False]
    assert "| b | NO | 50% | 0.00 s | 0 ms | +0 MB | slow; so so |" in render(rows)


def test_error_in_a_fault_is_a_result() -> None:
    def fail() -> str:
        raise TimeoutError("nothing came")

    assert try_fault(lambda: "fine") == "fine"
    assert not Row("a", try_fault(fail)).survived
    assert try_fault(fail) == "FAILED: TimeoutError: nothing came"


def test_faults_are_chosen_by_a_part_of_their_name() -> None:
    assert is_wanted("tiny messages", [])
    assert is_wanted("SIGTERM in mid-chunk", ["sigterm"])
    assert not is_wanted("garbage", ["sigterm"])

"""The loop of all trainings: kills, interrupts, several processes, curves."""

from __future__ import annotations

import csv
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from animation.lab.training.engine import TrainingStopped, run
from avatar.errors import UserError
from tests.animation.lab.training.toy_task import CPU, ToyTask

pytest.importorskip("lightning_fabric")

ROOT = Path(__file__).parents[4]
TOY = [sys.executable, "-m", "tests.animation.lab.training.toy_task"]


def start(*args: object) -> subprocess.Popen[str]:
    command = [*TOY, *map(str, args)]
    return subprocess.Popen(
        command,
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )


def rows(path: Path) -> list[dict[str, str]]:
    with (path / "curves.csv").open() as file:
        return list(csv.DictReader(file))


def test_the_same_seed_gives_the_same_weights_with_dropout(tmp_path: Path) -> None:
    first, second = ToyTask(), ToyTask()
    run(first, tmp_path / "a", CPU)
    run(second, tmp_path / "b", CPU)
    assert torch.equal(first.weights, second.weights)
    assert not torch.equal(first.weights, ToyTask().weights)


def test_a_killed_process_goes_on_where_its_checkpoint_was(tmp_path: Path) -> None:
    process = start(tmp_path, 40, 1, 0.1)
    deadline = time.monotonic() + 60
    while not (tmp_path / "checkpoint.pt").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    process.kill()
    process.communicate()
    kept = torch.load(tmp_path / "checkpoint.pt", weights_only=True)["done"]
    assert 5 <= kept < 40
    steps: list[int] = []
    resumed = ToyTask(40, dropout=False)
    run(resumed, tmp_path, CPU, lambda done, total, measures: steps.append(done))
    whole = ToyTask(40, dropout=False)
    run(whole, tmp_path / "whole", CPU)
    assert steps[0] == kept + 1
    assert torch.equal(resumed.weights, whole.weights)
    assert rows(tmp_path) == rows(tmp_path / "whole")
    assert (tmp_path / "curves.png").stat().st_size > 1000


def test_an_interrupt_ends_the_step_and_keeps_it(tmp_path: Path) -> None:
    task = ToyTask(20)

    def interrupt(done: int, total: int, measures: object) -> None:
        if done == 7:
            os.kill(os.getpid(), signal.SIGINT)

    usual = signal.getsignal(signal.SIGINT)
    with pytest.raises(TrainingStopped, match="step 8 of 20; the same command goes on"):
        run(task, tmp_path, CPU, interrupt)
    assert signal.getsignal(signal.SIGINT) is usual
    assert torch.load(tmp_path / "checkpoint.pt", weights_only=True)["done"] == 8
    resumed, whole = ToyTask(20), ToyTask(20)
    run(resumed, tmp_path, CPU)
    run(whole, tmp_path / "whole", CPU)
    assert torch.equal(resumed.weights, whole.weights)


def test_it_runs_outside_the_main_thread(tmp_path: Path) -> None:
    thread = threading.Thread(target=run, args=(ToyTask(5), tmp_path, CPU))
    thread.start()
    thread.join(30)
    assert len(rows(tmp_path)) == 1


@pytest.mark.parametrize("launcher", ["fabric", "torchrun"])
def test_two_processes_average_their_gradients(tmp_path: Path, launcher: str) -> None:
    """Two processes with a batch each end where one ends with both batches together."""
    if launcher == "fabric":
        process = start(tmp_path, 6, 2, 0)
    else:
        options = ["--nproc-per-node", "2", "--master-port", "0", "--rdzv-backend", "c10d"]
        options += ["--rdzv-endpoint", "localhost:0", "-m", "tests.animation.lab.training.toy_task"]
        process = subprocess.Popen(
            [sys.executable, "-m", "torch.distributed.run", *options, str(tmp_path), "6", "1", "0"],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | {"OMP_NUM_THREADS": "1"},
        )
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    together = ToyTask(6, batches=2, dropout=False)
    run(together, tmp_path / "one", CPU)
    alone = ToyTask(6, dropout=False)
    run(alone, tmp_path / "alone", CPU)
    weights = torch.load(tmp_path / "weights.pt", weights_only=True)
    torch.testing.assert_close(weights, together.weights, atol=1e-6, rtol=1e-5)
    assert (weights - alone.weights).abs().max() > 1e-3


def test_what_does_not_fit_is_said_in_one_line(tmp_path: Path) -> None:
    run(ToyTask(5), tmp_path, CPU)
    with pytest.raises(UserError, match=r"belongs to another training \(toy, seed 3, 5 steps\)"):
        run(ToyTask(6), tmp_path, CPU)
    (tmp_path / "checkpoint.pt").write_bytes(b"nothing")
    with pytest.raises(UserError, match="not a usable checkpoint") as caught:
        run(ToyTask(5), tmp_path, CPU)
    assert "\n" not in str(caught.value)
    run(ToyTask(5), tmp_path, replace(CPU, resume=False))
    if not torch.cuda.is_available():
        with pytest.raises(UserError, match="cuda"):
            run(ToyTask(5), tmp_path / "gpu", replace(CPU, accelerator="cuda"))

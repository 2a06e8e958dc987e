"""The loop that every training of this package runs in: Lightning Fabric around a task's loss.

It adds nothing of its own to the optimisation. It keeps a checkpoint from which a stopped or killed run goes on exactly
as if nothing had happened (batches are drawn from the seed and the step's number, so that no generator's state has to
survive), a CSV of the curves, and a plot of them. Several processes, on CUDA GPUs or on CPUs, each draw batches of
their own and average their gradients (Fabric's DDP); `torchrun` may start them, otherwise Fabric does.
"""

from __future__ import annotations

import atexit
import csv
import logging
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from avatar.errors import UserError
from avatar.formats.atomic import replacing
from avatar.interrupts import interrupts

__all__ = [
    "EngineOptions",
    "Progress",
    "Task",
    "TrainingStopped",
    "batch_rng",
    "is_first_process",
    "plot_curves",
    "run",
]

_log = logging.getLogger(__name__)

Progress = Callable[[int, int, Mapping[str, float]], None]
"""Called with the steps done, the steps in all, and the newest measures."""


class TrainingStopped(KeyboardInterrupt):
    """The user interrupted a training; its checkpoint holds everything up to then."""


class Task(Protocol):
    """What can be trained."""

    name: str
    steps: int
    seed: int
    module: nn.Module
    """Called as module(batch), gives {'loss': ..., further measures}; each a scalar."""

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Of AdamW, with no decay and betas of (0.9, 0.99) where a group does not say."""
        ...

    def batch(self, step: int, rank: int) -> Any:
        """The batch of a step, on the CPU, the same for the same arguments."""
        ...

    def validate(self) -> Mapping[str, float]: ...

    def learning_rate(self, step: int) -> float:
        """Factor on the groups' own learning rates."""
        ...


@dataclass(frozen=True)
class EngineOptions:
    """Where and how a training runs."""

    accelerator: str = "auto"
    """'cpu', 'cuda' or 'auto', as Lightning Fabric understands them."""
    devices: int = 1
    """GPUs, or processes on a CPU; under torchrun its own number holds."""
    threads: int = 0
    """CPU threads; 0 leaves torch's own number."""
    validate_every: int = 100
    checkpoint_every: int = 100
    precision: Literal["32-true", "bf16-mixed"] = "32-true"
    """Of the arithmetic, as Lightning Fabric names it: 'bf16-mixed' multiplies matrices in bfloat16, which processors
    with AMX and newer GPUs do faster; weights and their sums stay float32."""
    max_gradient_norm: float = 0.0
    """Longer gradients are cut to this; 0 leaves them."""
    resume: bool = True
    """Go on from a checkpoint in the folder, if there is one."""


def batch_rng(seed: int, step: int, rank: int = 0) -> np.random.Generator:
    """The generator that draws one step's batch."""
    return np.random.default_rng([seed, step, rank])


def is_first_process() -> bool:
    """Whether this process is the one that writes results; True unless a training runs in several."""
    return not (torch.distributed.is_available() and torch.distributed.is_initialized()) or (
        torch.distributed.get_rank() == 0
    )


def run(task: Task, out: Path | str, options: EngineOptions | None = None, progress: Progress | None = None) -> Path:
    """Train a task to its last step.

    Args:
        task: what to train; its module's weights are changed in place.
        out: folder of the checkpoint, the curves and the plot.
        options: device, pace of checkpoints.
        progress: told about every step, by the first process only.

    Returns:
        The path of the curves, a CSV.

    Raises:
        UserError: if Lightning Fabric is not installed, the device is missing, or the checkpoint does not fit.
        TrainingStopped: on Ctrl-C, after the step in hand is done and kept.
    """
    options = options or EngineOptions()
    fabric = _fabric(options)
    first_process = fabric.global_rank == 0
    out = Path(out)
    if first_process:
        out.mkdir(parents=True, exist_ok=True)
    if options.threads:
        torch.set_num_threads(options.threads)
    optimizer = torch.optim.AdamW(task.parameter_groups(), betas=(0.9, 0.99), weight_decay=0.0)
    rates = [float(group["lr"]) for group in optimizer.param_groups]
    if fabric.world_size > 1:
        _keep_sparse_buffers_local(task.module)
    module, optimizer = fabric.setup(task.module, optimizer)
    curves, checkpoint = out / "curves.csv", out / "checkpoint.pt"
    start = _resume(checkpoint, task, optimizer, fabric.device) if options.resume else 0
    fabric.barrier()
    if first_process:
        _keep_rows(curves, start)
    measures: dict[str, float] = {}
    with interrupts() as interrupted:
        for step in range(start, task.steps):
            factor = task.learning_rate(step)
            for group, rate in zip(optimizer.param_groups, rates, strict=True):
                group["lr"] = rate * factor
            torch.manual_seed(1_000_003 * task.seed + 7919 * step + fabric.global_rank)  # of dropout
            results = module(fabric.to_device(task.batch(step, fabric.global_rank)))
            optimizer.zero_grad()
            fabric.backward(results["loss"])
            if options.max_gradient_norm:
                fabric.clip_gradients(module, optimizer, max_norm=options.max_gradient_norm)
            optimizer.step()
            done = step + 1
            if done % options.validate_every == 0 or done == task.steps:
                measures = {name: float(value.detach()) for name, value in results.items() if isinstance(value, Tensor)}
                if not np.isfinite(measures["loss"]):
                    raise UserError(f"{out}: the loss is not finite at step {done}; lower the learning rate")
                module.eval()
                with torch.no_grad():
                    measures |= {f"validation_{name}": float(value) for name, value in task.validate().items()}
                module.train()
                if first_process:
                    _append(curves, {"step": done, **measures})
            stop = _any(fabric, interrupted.is_set()) and done < task.steps
            if first_process and (stop or done % options.checkpoint_every == 0 or done == task.steps):
                _save(checkpoint, task, optimizer, done)
            if progress is not None and first_process:
                progress(done, task.steps, measures)
            if stop:
                raise TrainingStopped(f"stopped after step {done} of {task.steps}; the same command goes on from there")
    if first_process:
        plot_curves(curves, out / "curves.png")
    task.module.to("cpu")
    return curves


def _keep_sparse_buffers_local(module: nn.Module) -> None:
    """DDP sends buffers around, which it cannot do with sparse ones; every process has made the same."""
    sparse = [name for name, buffer in module.named_buffers() if buffer.layout != torch.strided]
    nn.parallel.DistributedDataParallel._set_params_and_buffers_to_ignore_for_model(module, sparse)


def _leave_group() -> None:
    """Say good-bye to the other processes. Fabric does so for NCCL alone; threads of Gloo's that are left abort the
    process now and then."""
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


def _any(fabric: Any, here: bool) -> bool:
    """Whether it is so in any process: all must stop after the same step."""
    if fabric.world_size == 1:
        return here
    return bool(fabric.all_reduce(torch.tensor(float(here), device=fabric.device), reduce_op="max") > 0)


def _fabric(options: EngineOptions) -> Any:
    try:
        from lightning_fabric import Fabric
    except ImportError as error:
        raise UserError('training needs Lightning Fabric: pip install "gaussian-avatar[train]"') from error
    devices, nodes = options.devices, 1
    if "LOCAL_WORLD_SIZE" in os.environ and "TORCHELASTIC_RUN_ID" in os.environ:  # set by torchrun
        devices = int(os.environ["LOCAL_WORLD_SIZE"])
        nodes = int(os.environ["WORLD_SIZE"]) // devices
    # A frozen or masked part of a model has no gradient in some steps, which plain DDP takes for a mistake.
    strategy = "ddp_find_unused_parameters_true" if devices * nodes > 1 else "auto"
    try:
        fabric = Fabric(
            accelerator=options.accelerator,
            devices=devices,
            num_nodes=nodes,
            strategy=strategy,
            precision=options.precision,
        )
    except Exception as error:  # Fabric raises its own kinds for a device that is not there
        raise UserError(f"cannot train on {devices} x {options.accelerator!r}: {error}") from error
    fabric.launch()
    if fabric.world_size > 1:
        atexit.register(_leave_group)
    return fabric


def _save(path: Path, task: Task, optimizer: torch.optim.Optimizer, done: int) -> None:
    state = {
        "task": task.name,
        "seed": task.seed,
        "steps": task.steps,
        "done": done,
        "module": task.module.state_dict(),
        "optimizer": optimizer.state_dict(),
    }
    with replacing(path) as fresh:
        torch.save(state, fresh)


def _resume(path: Path, task: Task, optimizer: torch.optim.Optimizer, device: torch.device) -> int:
    """The steps that a checkpoint has done; 0 if there is none."""
    if not path.is_file():
        return 0
    try:
        state = torch.load(path, map_location=device, weights_only=True)
        if (state["task"], state["seed"], state["steps"]) != (task.name, task.seed, task.steps):
            raise UserError(
                f"{path}: belongs to another training ({state['task']}, seed {state['seed']}, {state['steps']} steps); "
                "choose another folder or delete it"
            )
        task.module.load_state_dict(state["module"])
        optimizer.load_state_dict(state["optimizer"])
    except UserError:
        raise
    except Exception as error:  # torch.load raises many kinds for a damaged file
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UserError(f"{path}: not a usable checkpoint ({reason}); delete it to start afresh") from error
    _log.info("going on from step %d of %s", state["done"], path)
    return int(state["done"])


def _keep_rows(curves: Path, done: int) -> None:
    """Drop what a killed run wrote after its last checkpoint."""
    rows = [row for row in _read(curves) if int(float(row["step"])) <= done]
    curves.unlink(missing_ok=True)
    for row in rows:
        _append(curves, row)


def _append(path: Path, row: Mapping[str, Any]) -> None:
    new = not path.is_file()
    with path.open("a", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(row))
        if new:
            writer.writeheader()
        writer.writerow(row)


def _read(path: Path) -> list[dict[str, str]]:
    if not path.is_file():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return [row for row in csv.DictReader(file) if None not in row.values()]  # a kill may cut the last line


def plot_curves(curves: Path, picture: Path) -> None:
    """Draw every column of a CSV of curves over its steps."""
    rows = _read(curves)
    if not rows:
        return
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise UserError('plots need matplotlib: pip install "gaussian-avatar[train]"') from error
    names = [name for name in rows[0] if name != "step"]
    columns = 3
    lines = -(-len(names) // columns)
    figure = Figure(figsize=(4 * columns, 2.6 * lines), layout="constrained")
    grid = figure.subplots(lines, columns, squeeze=False).flat
    for axes in grid[len(names) :]:
        axes.set_visible(False)
    for axes, name in zip(grid, names, strict=False):
        axes.plot([float(r["step"]) for r in rows], [float(r[name]) for r in rows], lw=1.2)
        axes.set_title(name, fontsize=9)
        axes.grid(alpha=0.3)
    figure.savefig(picture, dpi=80)

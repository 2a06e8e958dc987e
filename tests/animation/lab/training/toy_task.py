"""A tiny training, to test the engine with: python -m tests.animation.lab.training.toy_task OUT STEPS N PAUSE."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import torch
from torch import Tensor, nn

from animation.lab.training.engine import EngineOptions, batch_rng, is_first_process, run

CPU = EngineOptions(accelerator="cpu", validate_every=5, checkpoint_every=5)


class _Loss(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(3, 2)
        self.dropout = nn.Dropout(0.3)
        self.register_buffer("mixing", torch.eye(2).to_sparse(), persistent=False)

    mixing: Tensor

    def forward(self, batch: Tensor) -> dict[str, Tensor]:
        return {"loss": (torch.sparse.mm(self.mixing, self.dropout(self.layer(batch)).T) - 1).square().mean()}


class ToyTask:
    """A linear layer; `batches` of them are put together at each step, as several processes would draw them."""

    name = "toy"
    seed = 3

    def __init__(self, steps: int = 20, batches: int = 1, dropout: bool = True, pause_s: float = 0.0) -> None:
        torch.manual_seed(0)
        self.steps, self._batches, self._pause_s = steps, batches, pause_s
        self.module: nn.Module = _Loss()
        if not dropout:
            self.module.dropout.p = 0.0  # type: ignore[union-attr]

    @property
    def weights(self) -> Tensor:
        return torch.cat([p.detach().flatten() for p in self.module.parameters()])

    def parameter_groups(self) -> list[dict]:
        return [{"params": list(self.module.parameters()), "lr": 0.05}]

    def learning_rate(self, step: int) -> float:
        return 1.0

    def batch(self, step: int, rank: int) -> Tensor:
        time.sleep(self._pause_s)
        drawn = [batch_rng(self.seed, step, rank + i).normal(size=(4, 3)) for i in range(self._batches)]
        return torch.cat([torch.from_numpy(rows).float() for rows in drawn])

    def validate(self) -> dict[str, float]:
        return {"size": float(self.weights.norm())}


if __name__ == "__main__":
    folder, steps, processes, pause_s = Path(sys.argv[1]), *map(float, sys.argv[2:5])
    task = ToyTask(int(steps), dropout=False, pause_s=pause_s)
    run(task, folder, EngineOptions(accelerator="cpu", devices=int(processes), validate_every=5, checkpoint_every=5))
    if is_first_process():
        torch.save(task.weights, folder / "weights.pt")

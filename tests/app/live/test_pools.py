"""The pools of the numeric libraries while live."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from threadpoolctl import threadpool_info

from app.live.pools import PoolLimits


def blas_threads() -> set[int]:
    return {pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"}


@pytest.fixture
def two_threads() -> Iterator[None]:
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(1)


def test_torch_and_blas_calculate_alone_while_a_session_runs(two_threads: None) -> None:
    before = blas_threads()
    first, second = PoolLimits(), PoolLimits()
    first.hold()
    first.hold()
    second.hold()
    assert torch.get_num_threads() == 1
    assert blas_threads() == {1}
    first.release()
    assert torch.get_num_threads() == 1, "the second still holds"
    second.release()
    second.release()
    assert torch.get_num_threads() == 2
    assert blas_threads() == before

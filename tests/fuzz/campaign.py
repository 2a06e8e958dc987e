"""Damage a file again and again, read it, and note everything but a result or one clear line."""

from __future__ import annotations

import random
import resource
import time
import traceback
import warnings
from dataclasses import dataclass, field
from pathlib import Path

from avatar.errors import UserError
from tests.fuzz.mutation import mutated
from tests.fuzz.readers import Reader

__all__ = ["Outcome", "run"]

MAX_SECONDS = 5.0
"""Of computing; a busy machine may take longer by the clock."""
MAX_WAIT_S = 60.0
MAX_GROWTH_MB = 400


@dataclass
class Outcome:
    """What came of a campaign."""

    read: int = 0
    refused: int = 0
    slowest_s: float = 0.0
    growth_mb: float = 0.0
    """By how much the most memory ever held has grown."""
    faults: list[str] = field(default_factory=list)
    messages: dict[str, int] = field(default_factory=dict)


def run(reader: Reader, folder: Path, count: int, seed: int = 0) -> Outcome:
    """Read `count` damaged files. A fault names the seed of its file: `random.Random(seed)` makes it again."""
    target = reader.make(folder)
    sound = target.read_bytes()
    reader.read(target)  # the sample itself is fine; and whatever is loaded once is loaded
    outcome = Outcome()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for k in range(count):
        name = f"{reader.name}/{seed}/{k}"
        data = mutated(sound, random.Random(name), target.suffix)
        target.write_bytes(data)
        begun, start = time.perf_counter(), time.process_time()
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                reader.read(target)
            outcome.read += 1
        except UserError as error:
            outcome.refused += 1
            text = str(error)
            if "\n" in text or (target.name not in text and folder.name not in text) or len(text) > 600:
                outcome.faults.append(f"{name}: not one clear line: {text!r}")
        except Exception:
            outcome.faults.append(f"{name}: {traceback.format_exc(limit=-4)}")
        taken = time.process_time() - start
        if taken > MAX_SECONDS or time.perf_counter() - begun > MAX_WAIT_S:
            outcome.faults.append(f"{name}: took {taken:.1f} s")
        outcome.slowest_s = max(outcome.slowest_s, taken)
    target.write_bytes(sound)
    outcome.growth_mb = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    if outcome.growth_mb > MAX_GROWTH_MB:
        outcome.faults.append(f"{reader.name}: memory grew by {outcome.growth_mb:.0f} MB")
    return outcome

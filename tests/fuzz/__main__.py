"""`python -m tests.fuzz --count 10000 --only lam`: a long campaign, one line a format."""

from __future__ import annotations

import argparse
import logging
import os
import sys
import tempfile
from pathlib import Path


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=10_000, help="damaged files a format")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="", help="formats whose name contains this")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
    log = logging.getLogger("fuzz")
    bad = 0
    with tempfile.TemporaryDirectory() as home:
        os.environ["GAUSSIAN_AVATAR_HOME"] = home
        import torch

        from tests.fuzz.campaign import run
        from tests.fuzz.readers import READERS, prepare

        torch.set_num_threads(1)
        prepare()
        for reader in READERS:
            if options.only not in reader.name:
                continue
            with tempfile.TemporaryDirectory() as folder:
                found = run(reader, Path(folder), options.count, options.seed)
            log.info(
                "%-26s %6d files: %6d refused, %5d read, slowest %.2f s, memory +%.0f MB, %d faults",
                reader.name, options.count, found.refused, found.read, found.slowest_s, found.growth_mb,
                len(found.faults),
            )  # fmt: skip
            for fault in found.faults[:5]:
                log.info("  %s", fault)
            bad += len(found.faults)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())

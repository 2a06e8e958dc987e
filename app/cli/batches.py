"""Commands on many files at once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from rich.table import Table
from tyro.conf import Positional, arg

from app.cli.terminal import Output, batch_progress, complain, console, print_json, registry
from app.options import Acting, Hearing, Picture, refuse

__all__: list[str] = []

_SHOWN = 20


@registry.command
def batch(
    sources: Positional[tuple[str, ...]],
    acting: Acting = Acting(),
    hearing: Hearing = Hearing(),
    picture: Picture = Picture(),
    *,
    out: Output = Path("out/batch"),
    format: str = "mp4",
    avatar: str = "",
    jobs: Annotated[int, arg(aliases=["-j"])] = 0,
    scheduler: str | None = None,
    retries: int = 1,
    skip_bad: bool = False,
    json: bool = False,
) -> int:
    """Render or animate many lines: on all cores, or on many machines. What is done and unchanged is not done again.

    Args:
        sources: tables (.csv: a line each, columns audio or text, output, format, avatar and every option of `render`
            and `animate`), folders of recordings, patterns such as 'lines/*.wav', recordings.
        out: folder of the outputs; also of summary.json, which says what became of each.
        format: what to make of each line, with commas between: mp4, mkv, mov, webm, png, csv, json, npz, glb, ply.
        avatar: who speaks where the line does not say.
        jobs: processes on this machine; 0 is one for each core, or a single one where a GPU draws.
        scheduler: address of a Dask scheduler, such as tcp://host:8786, whose workers see the same folders.
        retries: how often a line that failed is tried again.
        skip_bad: make the other lines even if some cannot be used as they stand.
        json: print the summary as JSON.
    """
    from app.batch import BatchOptions, run_batch
    from app.batch.plan import Settings

    if scheduler is not None:
        refuse("the scheduler's workers are as many as they are", jobs=jobs or None)
    settings = Settings(out, tuple(f.strip().lower() for f in format.split(",")), avatar, acting, hearing, picture)
    with batch_progress() as progress:
        summary = run_batch(sources, settings, BatchOptions(jobs, scheduler, retries, skip_bad), progress)
    if json:
        print_json(summary.as_json())
        return summary.exit_code
    for problem in summary.problems:
        complain(problem, 1)
    if not summary.made and summary.problems:
        return complain("nothing was made: mend these lines, or leave them out with --skip-bad", summary.exit_code)
    failures = [m for m in summary.made if m.status == "failed"]
    for failure in failures[:_SHOWN]:
        complain(f"{failure.where}: {failure.message}", 1)
    table = Table(box=None, pad_edge=False)
    for heading in ("made", "unchanged", "failed", "unusable", "seconds"):
        table.add_column(heading, justify="right")
    counts = [str(summary.count(s)) for s in ("made", "unchanged", "failed")]
    table.add_row(*counts, str(len(summary.problems)), f"{summary.seconds:.1f}")
    console.print(table)
    if len(failures) > _SHOWN:
        console.print(f"{len(failures) - _SHOWN} more failures are named in {out / 'summary.json'}")
    return summary.exit_code

"""Many clips, on many cores or machines: tables of lines in, videos and curves out; what is done is not done again."""

from app.batch.run import BatchOptions, BatchSummary, run_batch

__all__ = ["BatchOptions", "BatchSummary", "run_batch"]

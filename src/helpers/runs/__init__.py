"""A study's run: what is to be made (`plan`), where it is kept (`store`), making and scoring it (`execute`), contact
sheets (`contact`), measuring and filtering what was scored (`spectra`, `counterfactuals`), and making a sample of an
archived run again (`verify`). `digests` says what a run's files come from, `lock` who works in its folder.

`execute`, `counterfactuals`, `digests`, `extras` and `verify` load torch and are imported by name.
"""

from helpers.runs.plan import REAL, Shard, Source, parse_share, shards, sources
from helpers.runs.store import Store

__all__ = ["REAL", "Shard", "Source", "Store", "parse_share", "shards", "sources"]

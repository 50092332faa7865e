"""A study's run, from the study file to the results' folder.

`plan` reads the study once; the rest takes its recipes. `store` says where things are kept, `shard` what is known of
them, `lock` who works there, `digests` what they come from. `sources` makes images, `audit` measures what a precision
did before the first of them; `make` (with `run`, the whole way), `score` and `merge` lead to the results, `stages` to
the tables beside them. `verify` has a sample of an archived run made again, by `remade` in processes of its own.

Of these, `plan`, `store`, `lock` and `verify` do without torch; all but the first two are imported by name.
"""

from helpers.runs.plan import REAL, Plan, Recipe, Shard, Source, parse_share, resolve
from helpers.runs.store import Store

__all__ = ["REAL", "Plan", "Recipe", "Shard", "Source", "Store", "parse_share", "resolve"]

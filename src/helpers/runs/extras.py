"""Tables that a run has beside its scores: made source by source from images that were scored, kept, merged, vouched
for.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
import pandas as pd

from helpers.paths import replacing
from helpers.runs.plan import Source
from helpers.runs.store import Store, pixel_sha256, read_json, write_json, write_parquet

__all__ = ["CELL", "IMAGES", "kept", "opened", "scored", "vouched"]

#: So many images of a source, the first ones, are looked at: mean spectra and mean shifts need no more.
IMAGES = 100

#: Columns that say of which source a row is; the fields of `Source`.
CELL = ("generator", "precision", "arm", "size", "label")

#: Images in memory at a time.
_BATCH = 10


def scored(store: Store) -> dict[Source, pd.Series]:
    """Digests of the first `IMAGES` scored images by index, for each source in the run's scores."""
    columns = [*CELL, "index", "image_sha256"]
    rows = pd.read_parquet(store.folder / "scores.parquet", columns=columns).drop_duplicates()
    groups = rows.sort_values("index").groupby(list(CELL), sort=False)
    return {Source(*key): group.set_index("index")["image_sha256"].head(IMAGES) for key, group in groups}


def opened(store: Store, source: Source, digests: pd.Series) -> Iterator[tuple[np.ndarray, np.ndarray]] | None:
    """Pixels (n, S, S, 3), uint8, and index (n,) of the images with these digests, a few at a time.

    None where one of them is not at hand with the pixels that were scored.
    """
    if not all(store.image(source, index).is_file() for index in digests.index):
        return None
    if not all(pixel_sha256(store.open(source, index)) == digest for index, digest in digests.items()):
        return None
    return _batches(store, source, digests.index.to_numpy())


def _batches(store: Store, source: Source, index: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    for start in range(0, len(index), _BATCH):
        batch = index[start : start + _BATCH]
        yield np.stack([np.asarray(store.open(source, int(one))) for one in batch]), batch


def kept(store: Store, name: str, of: Sequence[str], make: Callable[[], pd.DataFrame | None]) -> pd.DataFrame | None:
    """The table `name` as it was made of the same things (`of`, their digests), else made now and kept.

    None where it is not there and cannot be made, for `make` returns None.
    """
    digest = hashlib.sha256("\n".join(of).encode()).hexdigest()
    folder = store.folder / "parts" / name
    file = folder / f"{digest[:16]}.parquet"
    try:
        return pd.read_parquet(file)
    except (OSError, ValueError):  # missing, or not a parquet file
        table = make()
    if table is not None:
        write_parquet(table, file)
        for old in folder.glob("*.parquet"):
            if old != file:
                old.unlink()
    return table


def vouched(store: Store, tables: Mapping[str, Sequence[pd.DataFrame | None]]) -> bool:
    """Merge parts into tables by file name, put their checksums into the manifest; says whether anything is new."""
    manifest = read_json(store.folder / "manifest.json")
    files = dict(manifest.get("files", {}))
    for name, parts in tables.items():
        there = [part for part in parts if part is not None and len(part)]
        if not there:
            continue
        content = io.BytesIO()
        pd.concat(there, ignore_index=True).to_parquet(content, index=False, compression="zstd")
        files[name] = hashlib.sha256(content.getvalue()).hexdigest()
        path = store.folder / name
        if not path.is_file() or path.read_bytes() != content.getvalue():
            with replacing(path) as temporary:
                temporary.write_bytes(content.getvalue())
    if files == manifest.get("files", {}):
        return False
    write_json(manifest | {"files": files}, store.folder / "manifest.json")
    return True

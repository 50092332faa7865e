"""Tables that a run has beside its scores: made source by source from images that were scored, cached, merged and
published in the manifest.
"""

from __future__ import annotations

import hashlib
import io
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from helpers.core.columns import TABLES, ordered
from helpers.core.errors import Damaged, Failure
from helpers.core.files import read_parquet, replacing, write_json, write_parquet
from helpers.detectors.detector import Detector, NotFinite, together
from helpers.runs.plan import Source
from helpers.runs.shard import CELL
from helpers.runs.store import MANIFEST, Store, pixel_sha256

__all__ = ["CELL", "IMAGES", "cached", "logits", "publish", "read_verified", "scored"]

#: So many images of a source, the first ones, are looked at: mean spectra and mean shifts need no more.
IMAGES = 100

#: Images in memory at a time.
_BATCH = 10


def scored(store: Store, images: int | None = IMAGES) -> dict[Source, pd.Series]:
    """Digests of the first `images` scored images by index (None: of all), for each source in the run's scores."""
    rows = store.scores()[[*CELL, "index", "image_sha256"]].drop_duplicates()
    groups = rows.sort_values("index").groupby(list(CELL), sort=False)
    return {Source(*key): group.set_index("index")["image_sha256"].iloc[:images] for key, group in groups}


def read_verified(store: Store, source: Source, digests: pd.Series) -> Iterator[tuple[np.ndarray, np.ndarray]] | None:
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


def logits(detectors: Sequence[Detector], images: Mapping[Path, Image.Image]) -> list[np.ndarray]:
    """Each detector's logits of images by their file, float64 (N,); raises Failure where one is not finite."""
    try:
        return [found.astype(np.float64) for found in together(detectors, list(images.values()))]
    except NotFinite as error:
        raise Failure(f"{list(images)[error.place]}: {error}") from None


def cached(store: Store, name: str, of: Sequence[str], make: Callable[[], pd.DataFrame | None]) -> pd.DataFrame | None:
    """The table `name` as it was made of the same things (`of`, their digests), else made now and kept.

    None where it is not there and cannot be made, for `make` returns None.
    """
    digest = hashlib.sha256("\n".join([name, *of]).encode()).hexdigest()
    folder = store.folder / "parts" / name
    file = folder / f"{digest[:16]}.parquet"

    def own(path: Path) -> pd.DataFrame:
        table = read_parquet(path)
        if table.attrs != {"made_of": digest}:
            raise Damaged(f"{path}: made of other things than its name says")
        return table

    table = store.read(own, file)
    if table is None:
        table = make()
        if table is None:
            return None
        table.attrs = {"made_of": digest}
        write_parquet(table, file)
        for old in folder.iterdir():
            if old != file and re.fullmatch(r"[0-9a-f]{16}\.parquet", old.name):
                old.unlink(missing_ok=True)
    table.attrs = {}
    return table


def publish(store: Store, tables: Mapping[str, Sequence[pd.DataFrame | None]]) -> bool:
    """Merge parts into tables by file name, put their checksums into the manifest; says whether anything is new.

    A table without parts is taken away, with its checksum: it is of what was in the folder before. The caller holds
    `lock.merging`.
    """
    manifest = store.manifest()
    files = dict(manifest["files"])
    for name, parts in tables.items():
        path = store.folder / name
        there = [part for part in parts if part is not None and len(part)]
        if not there:
            files.pop(name, None)
            path.unlink(missing_ok=True)
            continue
        content = io.BytesIO()
        ordered(TABLES[name], pd.concat(there, ignore_index=True)).to_parquet(content, index=False, compression="zstd")
        files[name] = hashlib.sha256(content.getvalue()).hexdigest()
        if not path.is_file() or path.read_bytes() != content.getvalue():
            with replacing(path) as temporary:
                temporary.write_bytes(content.getvalue())
    if files == manifest["files"]:
        return False
    write_json(manifest | {"files": files}, store.folder / MANIFEST)
    return True

"""The whole way of the full study on any machine: the real architectures at random weights, from `grid` to `report`.

    python benchmarks/dry_run.py [--families sd15,flux1] [--device cpu] [--memory GB] [--work DIR]

Nothing is downloaded. Each family's networks are built from their configurations and written as the hub lays out a
checkpoint, the detectors at full size in their authors' file formats; a study file made of studies/full.toml then goes
through the commands as a lab would call them, each a process of its own. Images are few, with few steps, and on a CPU
small, so their pixels mean nothing: what is tried is that everything loads, quantizes, is audited, made, scored, made
again and shown, and on a GPU how much of its memory that takes.

A family is built as deep as memory lets it be, at full width always; one family's weights are on the disk at a time.
The table at the end says what was built and how each command ended; with the machine and the cells' rows it is in
DIR/dry_run.json. results/dry_run has those that were kept.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import shutil
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from string import ascii_letters, digits, punctuation
from typing import Any, NamedTuple

import torch
from safetensors.torch import save_file

from helpers import detectors
from helpers.cli.show import table_text
from helpers.core import files
from helpers.core.device import accelerator
from helpers.generators.catalogue import GENERATORS
from helpers.generators.networks import Network, architecture, made
from helpers.runs.plan import Shard, Source, sources
from helpers.runs.store import Store
from helpers.study import schema

IMAGES, STEPS = 2, 2
#: Pixels on a CPU by the full study's, in its own ratio; a GPU has those of the study.
SIZES = {512: 64, 768: 96, 1024: 128}
#: Shares of a network's layers that are tried, from all of them to one of each kind.
DEPTHS = (1.0, 0.5, 0.25, 0.125, 0.0)
#: What counts layers in the libraries' configurations.
LAYERS = ("num_layers", "num_single_layers", "num_hidden_layers", "layers_per_block", "transformer_layers_per_block")
#: Bytes of memory beside the networks: the libraries and the detectors.
BESIDE = 2.5e9
#: Bytes of the detectors' weights.
DETECTORS_BYTES = 1.6e9
#: An arm beside those of the full study: a precision by rounding.
ROUNDING = {"title": "rounded in the computing type", "way": "rounding", "precisions": ["fp8"], "images": IMAGES}
COMMANDS = ("grid", "run", "state", "verify", "report")


class Family(NamedTuple):
    """What the hub's checkpoint of a generator has beside its networks: the key of its architecture, its files' type
    and variant, its scheduler, and the range of its latents.
    """

    checkpoint: str
    dtype: torch.dtype
    scheduler: str
    schedule: Mapping[str, Any]
    latents: Mapping[str, Any]
    variant: str | None = None


_SCALED = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}
_SD3 = {"scaling_factor": 1.5305, "shift_factor": 0.0609}
FAMILIES = {
    "sd15": Family(
        "sd15", torch.float16, "PNDMScheduler", _SCALED | {"skip_prk_steps": True, "steps_offset": 1},
        {"scaling_factor": 0.18215}, "fp16",
    ),
    "sd21": Family(
        "sd21", torch.float16, "DDIMScheduler", _SCALED | {"prediction_type": "v_prediction", "steps_offset": 1,
        "clip_sample": False, "set_alpha_to_one": False}, {"scaling_factor": 0.18215}, "fp16",
    ),
    "sdxl": Family(
        "sdxl", torch.float16, "EulerDiscreteScheduler", _SCALED | {"steps_offset": 1, "timestep_spacing": "leading"},
        {"scaling_factor": 0.13025, "force_upcast": True}, "fp16",
    ),
    "sd3": Family("sd3", torch.float16, "FlowMatchEulerDiscreteScheduler", {"shift": 3.0}, _SD3),
    "sd35": Family("sd35-large", torch.bfloat16, "FlowMatchEulerDiscreteScheduler", {"shift": 3.0}, _SD3),
    "flux1": Family(
        "flux1-dev", torch.bfloat16, "FlowMatchEulerDiscreteScheduler", {"shift": 3.0, "use_dynamic_shifting": True},
        {"scaling_factor": 0.3611, "shift_factor": 0.1159},
    ),
}  # fmt: skip


@dataclass
class Outcome:
    """What became of a family: parameters by component, the exit code, seconds and peak GB of each command, the cells
    that were made with their coverage, those that were not, and why.
    """

    family: str
    depth: float | None = None
    parameters: dict[str, int] = field(default_factory=dict)
    commands: dict[str, dict[str, Any]] = field(default_factory=dict)
    cells: list[dict[str, Any]] = field(default_factory=list)
    left_out: str = ""

    @property
    def well(self) -> bool:
        """Whether all of it came to its end."""
        return not self.left_out and all(one["exit"] == 0 for one in self.commands.values())


# The checkpoint


def shallow(network: Network, share: float) -> Network:
    """The network at full width with this share of its layers, one of each kind at least."""
    fewer = {name: _share(network.config[name], share) for name in LAYERS if name in network.config}
    return replace(network, config=dict(network.config) | fewer)


def _share(layers: int | Sequence[int], share: float) -> int | list[int]:
    return max(1, round(layers * share)) if isinstance(layers, int) else [max(1, round(n * share)) for n in layers]


def components(key: str) -> dict[str, tuple[str, str]]:
    """The parts of a generator's pipeline, as its model_index.json names them: attribute -> (library, class)."""
    index = json.loads((files.MODELS / "mini" / key / "model_index.json").read_text(encoding="utf-8"))
    return {name: tuple(value) for name, value in index.items() if isinstance(value, list) and value[0]}


def networks(key: str, share: float = 1.0) -> dict[str, Network]:
    """The networks of a generator's checkpoint by the attributes of its pipeline, with a share of their layers."""
    family, names = FAMILIES[key], {"unet": "denoiser", "transformer": "denoiser", GENERATORS[key].t5: "t5"}
    parts, found = architecture(family.checkpoint).parts, {}
    for attribute, (_, kind) in components(key).items():
        part = parts.get(names.get(attribute, attribute))
        if part is not None:
            fewer = replace(part, config=part.config | family.latents) if attribute == "vae" else shallow(part, share)
            found[attribute] = replace(fewer, kind=kind)
    return found


def parameters(of: Mapping[str, Network]) -> dict[str, int]:
    """How many parameters each network has."""
    return {name: sum(p.numel() for p in made(network).parameters()) for name, network in of.items()}


def write_checkpoint(key: str, of: Mapping[str, Network], folder: Path) -> None:
    """A checkpoint as the hub has it, one network in memory at a time."""
    import diffusers

    family, index = FAMILIES[key], json.loads((files.MODELS / "mini" / key / "model_index.json").read_text("utf-8"))
    for attribute, network in of.items():
        torch.manual_seed(0)
        options = {"variant": family.variant} if family.variant else {}
        made(network, device="cpu").to(family.dtype).save_pretrained(folder / attribute, **options)
    getattr(diffusers, family.scheduler)(**family.schedule).save_pretrained(folder / "scheduler")
    index["scheduler"] = ["diffusers", family.scheduler]
    for attribute in [name for name in index if name.startswith("tokenizer")]:
        tokenizer = tokenizer_of(of[attribute.replace("tokenizer", "text_encoder")].kind, GENERATORS[key].tokens)
        tokenizer.save_pretrained(folder / attribute)
        index[attribute] = ["transformers", type(tokenizer).__name__]
    files.write_json(index, folder / "model_index.json")


def tokenizer_of(encoder: str, tokens: int | None) -> Any:
    """A text encoder's own kind of tokenizer that knows single characters: smaller than the published one's words, so
    every token has its place in the encoder's table.
    """
    from tokenizers import pre_tokenizers
    from transformers import CLIPTokenizer, T5Tokenizer

    if encoder.startswith("T5"):
        pieces = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("\u2581", -2.0)]
        pieces += [(letter, -3.0) for letter in ascii_letters + digits + punctuation]
        return T5Tokenizer(vocab=pieces, extra_ids=0, model_max_length=tokens)
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    words = [*letters, *(f"{letter}</w>" for letter in letters), "<|startoftext|>", "<|endoftext|>"]
    return CLIPTokenizer(vocab={word: place for place, word in enumerate(words)}, merges=[], model_max_length=77)


# The detectors


def write_detectors(folder: Path, keys: Sequence[str]) -> None:
    """Untrained detectors of full size in the files that their authors publish."""
    folder.mkdir(parents=True, exist_ok=True)
    for key in keys:
        torch.manual_seed(0)
        state = detectors.build(key).state_dict()
        content, backbone = _LAYOUTS[key](state)
        torch.save(content, folder / f"{key}.pth")
        if backbone:
            save_file(backbone, folder / "open_clip_model.safetensors")


def _nodown(state: dict[str, Any]) -> tuple[Any, None]:
    """Under "model", as trained on several GPUs, its last layer a convolution of one pixel."""
    state["fc.weight"] = state["fc.weight"][:, :, None, None]
    return {"model": {f"module.{key}": value for key, value in state.items()}}, None


def _clip(state: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """The head alone; the backbone as open_clip has it, with its projection and its text tower's first table."""
    head = {key: value for key, value in state.items() if key.startswith("fc.")}
    tower = {key: value.contiguous() for key, value in state.items() if key.startswith("visual.")}
    return {"model": head}, tower | {
        "visual.proj": torch.zeros(1024, 768),
        "token_embedding.weight": torch.zeros(9, 768),
    }


_LAYOUTS = {"npr": lambda state: (state, None), "r50_nodown": _nodown, "r50_tf": lambda state: (state, None),
            "clip_d": _clip}  # fmt: skip


# The study


def study_of(key: str, work: Path, keys: Sequence[str], device: str = "cpu") -> dict[str, Any]:
    """The full study's file, as data, for one generator: this checkpoint, few images, no photographs."""
    with (files.STUDIES / "full.toml").open("rb") as file:
        study = tomllib.load(file)
    own = study["generators"][key]
    del study["reals"], own["revision"]
    own |= {"checkpoint": str(work / key), "steps": STEPS}
    own |= {"size": SIZES[own["size"]]} if device == "cpu" else {}
    own |= {"variant": FAMILIES[key].variant} if FAMILIES[key].variant else {}
    arms = {
        name: arm | {"images": IMAGES} for name, arm in study["arms"].items() if key in arm.get("generators", [key])
    }
    for arm in arms.values():
        arm.pop("generators", None)
    return study | {
        "name": f"dry-{key}", "images_per_cell": IMAGES, "weights": str(work / "detectors"), "detectors": list(keys),
        "generators": {key: own}, "arms": arms | {"rounding_arm": ROUNDING},
    }  # fmt: skip


def toml(table: Mapping[str, Any], path: str = "") -> Iterator[str]:
    """The lines of a TOML file; JSON's strings, numbers and lists are TOML's too."""
    yield from (f"{name} = {json.dumps(value)}" for name, value in table.items() if not isinstance(value, dict))
    for name, value in table.items():
        if isinstance(value, dict):
            yield f"[{path}{name}]"
            yield from toml(value, f"{path}{name}.")


# The commands


def calls(study: Path, work: Path, device: str) -> dict[str, list[str]]:
    """What a lab would type, by the name under which its outcome is kept."""
    out, name = str(work / "run"), str(study)
    return {
        "grid": ["grid", name],
        "run": ["run", name, "--out", out, "--device", device],
        "state": ["grid", name, "--out", out],
        "verify": ["verify", name, "--results", out, "--images", str(IMAGES), "--device", device],
        "report": ["report", "--results", out, "--out", str(work / "book")],
    }


def called(words: Sequence[str], log: Path) -> dict[str, Any]:
    """A command's exit code, seconds, the most GB (10^9) that it or a process of its own held, and its last line.

    A run starts its peak afresh with each cell, on Linux: cells.parquet has theirs.
    """
    began = time.perf_counter()
    with log.open("w", encoding="utf-8") as said:
        process = subprocess.Popen([sys.executable, "-m", "helpers.cli", *words], stdout=said, stderr=said)
        _, status, used = os.wait4(process.pid, 0)
    peak = used.ru_maxrss * (1 if sys.platform == "darwin" else 1024) / 1e9
    lines = [line for line in log.read_text(encoding="utf-8").splitlines() if line.strip()]
    return {"exit": os.waitstatus_to_exitcode(status), "seconds": round(time.perf_counter() - began, 1),
            "peak_gb": round(peak, 2), "said": lines[-1] if lines else ""}  # fmt: skip


def cells_of(study: Path, out: Path, why: str) -> list[dict[str, Any]]:
    """Every cell of the study with its images, rejected ones, coverage, errors and memory as the run's table has them,
    and of a GPU where its networks lay and the peak that was expected; or the reason why it has none.
    """
    import pandas as pd

    cells, rows, path = sources(schema.load(study)), {}, out / "cells.parquet"
    failed = Store(out).failures(cells)
    if path.is_file():
        kept = ["images", "rejected", "coverage", "weight_error", "output_error", "native_deviation", "peak_memory_mb"]
        table = pd.read_parquet(path).set_index(["generator", "precision", "arm"])
        rows = {place: row for place, row in table[kept].astype(object).to_dict("index").items() if row["images"]}
    found = []
    for cell in cells:
        row = rows.get((cell.generator, cell.precision, cell.arm), {"images": 0, "why": failed.get(cell.folder, why)})
        found.append({"cell": cell.folder} | row | (_placed(out, cell) if row["images"] else {}))
    return found


def _placed(out: Path, cell: Source) -> dict[str, Any]:
    """What the record of a cell's first images says of a GPU; nothing of a CPU."""
    record = json.loads(Store(out).state(Shard(cell, 0, IMAGES)).read_text(encoding="utf-8"))["record"]
    return {name: record[name] for name in ("placement", "estimated_peak_mb") if name in record}


# All of it


def deepest(key: str, memory: float) -> tuple[float, dict[str, int]] | None:
    """The largest share of layers whose networks fit this memory (bytes) while cells are audited, with the numbers of
    their parameters; None where none fits.
    """
    for share in DEPTHS:
        counted = parameters(networks(key, share))
        if needed(counted) <= memory:
            return share, counted
    return None


def needed(counted: Mapping[str, int]) -> float:
    """Bytes of memory that a run takes on a CPU: the networks without quantization, a cell's, and a copy of the largest
    of them while it is audited, all in single precision. SD1.5 whole took 12.6 GB, where this says 14.5.
    """
    return 4 * (2 * sum(counted.values()) + max(counted.values())) + BESIDE


def apart(call: Callable[..., None], *given: Any) -> None:
    """Call it in a process of its own: what this one has ever held would count as the peak of its commands."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        pool.submit(call, *given).result()


def free_memory() -> float:
    """Bytes of memory that a process may still take."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        return next(float(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable"))
    except (OSError, StopIteration):
        return float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")) / 2


def tried(key: str, work: Path, device: str, memory: float, keys: Sequence[str]) -> Outcome:
    """Build a family, lead it through the commands, and take its weights away again."""
    outcome = Outcome(key)
    found = deepest(key, memory)
    if found is None:
        least = needed(parameters(networks(key, DEPTHS[-1])))
        outcome.left_out = f"one layer of each kind needs {least / 1e9:.1f} GB of memory, {memory / 1e9:.1f} are free"
        return outcome
    outcome.depth, outcome.parameters = found
    free, stored = shutil.disk_usage(work).free, 2.2 * sum(outcome.parameters.values())
    if stored > free:
        outcome.left_out = f"its weights need {stored / 1e9:.1f} GB of disk, {free / 1e9:.1f} are free"
        return outcome
    place = work / f"{key}-run"
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    try:
        apart(write_checkpoint, key, networks(key, outcome.depth), work / key)
        study = place / "study.toml"
        study.write_text("\n".join(toml(study_of(key, work, keys, device))) + "\n", encoding="utf-8")
        for name, words in calls(study, place, device).items():
            print(f"{key}: {name} ...", flush=True)
            outcome.commands[name] = called(words, place / f"{name}.log")
            print(f"{key}: {name} {outcome.commands[name]}", flush=True)
        outcome.cells = cells_of(study, place / "run", outcome.commands["run"]["said"])
    finally:
        shutil.rmtree(work / key, ignore_errors=True)
    return outcome


def row(outcome: Outcome) -> dict[str, Any]:
    """A family's line of the table."""
    if outcome.left_out:
        return {"family": outcome.family, "parameters": outcome.left_out}
    there = [cell for cell in outcome.cells if cell["images"]]
    coverage = [f"{cell['coverage']:.0%}" for cell in there if "-" not in cell["cell"]]
    counted, run = outcome.parameters, outcome.commands["run"]
    denoiser = counted.get("unet") or counted.get("transformer") or 0
    return {
        "family": outcome.family, "layers": f"{outcome.depth:.3g}", "parameters": f"{sum(counted.values()):,}",
        "denoiser": f"{denoiser:,}", "cells": f"{len(there)} of {len(outcome.cells)}", "coverage": " ".join(coverage),
        "run s": run["seconds"], "cell GB": f"{max((cell['peak_memory_mb'] for cell in there), default=0) / 1e3:.1f}",
        **{name: "ok" if one["exit"] == 0 else f"exit {one['exit']}" for name, one in outcome.commands.items()},
    }  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> int:
    """Try each family and print the table; 1 where one did not come to its end."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--families", default=",".join(FAMILIES), help="some of them, with commas between")
    parser.add_argument("--device", default="cpu", help="cpu, cuda or cuda:N")
    parser.add_argument("--memory", type=float, help="GB (10^9 bytes) at most; default nine tenths of what is free")
    parser.add_argument("--work", type=Path, default=files.BUILD / "dry-run", help="folder for weights and runs")
    given = parser.parse_args(arguments)
    families = given.families.split(",")
    for unknown in set(families) - set(FAMILIES):
        parser.error(f"no family '{unknown}'; one of {', '.join(FAMILIES)}")
    work, keys = given.work.resolve(), schema.load("full").detectors
    work.mkdir(parents=True, exist_ok=True)
    if shutil.disk_usage(work).free < DETECTORS_BYTES:
        parser.error(f"{work}: the detectors alone need {DETECTORS_BYTES / 1e9:.1f} GB of disk; give another --work")
    apart(write_detectors, work / "detectors", keys)
    outcomes, machine = [], accelerator(given.device)
    for key in families:
        memory = given.memory * 1e9 if given.memory else 0.9 * free_memory()
        outcomes.append(tried(key, work, given.device, memory, keys))
        record = {"machine": machine, "families": [asdict(one) for one in outcomes]}
        files.write_json(record, work / "dry_run.json")
    shutil.rmtree(work / "detectors", ignore_errors=True)
    print(table_text([row(one) for one in outcomes]))
    for one in outcomes:
        for cell in one.cells:
            if "why" in cell:
                print(f"{cell['cell']}: not made: {cell['why']}")
    return 0 if all(one.well for one in outcomes) else 1


if __name__ == "__main__":
    sys.exit(main())

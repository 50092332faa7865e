"""Training of the miniatures' text encoders: each learns to tell what a caption says, and is then frozen.

The originals' encoders come from contrastive or language pretraining; here the grammar itself is the teacher. From
the pooled state the encoder must name ground, relation and, per place, colour and shape; from each word's state, the
place it belongs to. (A first trial showed this to be the largest single gain in prompt fidelity.)
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F
from transformers import PretrainedConfig

from helpers import world
from helpers.mini.families import MAX_TOKENS, tokenizer
from helpers.mini.learning.loop import descend, ramp, run_steps, set_rate, step_rng

__all__ = ["TEXT_STEPS", "train_text_encoder"]

TEXT_STEPS = 800
_BATCH, _CAPTIONS, _RATE = 64, 12000, 2e-3
_PLACES = 3


def _labels(of: world.Scene) -> list[int]:
    """Ground, relation, then colour and shape per place (the last class means "nothing here")."""
    row = [tuple(world.GROUNDS).index(of.ground), tuple(world.RELATIONS).index(of.relation)]
    for place in range(_PLACES):
        solid = of.solids[place] if place < len(of.solids) else None
        row.append(tuple(world.COLOURS).index(solid.colour) if solid else len(world.COLOURS))
        row.append(world.SHAPES.index(solid.shape) if solid else len(world.SHAPES))
    return row


_CLASSES = [len(world.GROUNDS), len(world.RELATIONS)] + [len(world.COLOURS) + 1, len(world.SHAPES) + 1] * _PLACES


def _places(tokens: torch.Tensor, names: set[int]) -> torch.Tensor:
    """Place (1 to 3) of each word that names a colour or shape, 0 elsewhere; both as (N, T) long tensors."""
    named = torch.isin(tokens, torch.tensor(sorted(names)))
    return torch.where(named, (named.cumsum(1) + 1) // 2, 0)


@dataclass(frozen=True)
class _Captions:
    """Tokenized captions and what they say.

    Attributes:
        tokens: (N, T). ends: place of the end mark (N,). places: place of each word's solid (N, T), see `_places`.
        labels: classes of the caption's attributes (N, attributes), see `_labels`.
    """

    tokens: torch.Tensor
    ends: torch.Tensor
    places: torch.Tensor
    labels: torch.Tensor

    def rows(self, chosen: torch.Tensor, device: str) -> _Captions:
        """The chosen captions, on a device."""
        return _Captions(*(part[chosen].to(device) for part in (self.tokens, self.ends, self.places, self.labels)))


def _captions(kind: str, count: int) -> _Captions:
    """The first training captions as the tokenizer of a kind reads them."""
    scenes, words = [world.scene(i) for i in range(count)], tokenizer(kind)
    texts = [world.caption(scene) for scene in scenes]
    tokens = words(texts, padding="max_length", max_length=MAX_TOKENS, return_tensors="pt").input_ids
    ends = (tokens == words.eos_token_id).int().argmax(1)
    names = {words.convert_tokens_to_ids(word) for word in (*world.COLOURS, *world.SHAPES)}
    return _Captions(tokens, ends, _places(tokens, names), torch.tensor([_labels(scene) for scene in scenes]))


def _heads(kind: str, config: PretrainedConfig, projected: bool) -> nn.ModuleDict:
    """Classifiers of the pooled state, of the end mark's state and of each word's state."""
    width = config.hidden_size if kind == "clip" else config.d_model
    summary = config.projection_dim if projected else width
    return nn.ModuleDict({
        "pooled": nn.Linear(summary, sum(_CLASSES)),
        "end": nn.Linear(width, sum(_CLASSES)),
        "word": nn.Linear(width, _PLACES + 1),
    })  # fmt: skip


def _loss(out: Any, heads: nn.ModuleDict, of: _Captions) -> torch.Tensor:
    """Sum of the cross-entropies of what is read off the states that the pipelines take: the last two layers', and the
    pooled one."""
    loss = torch.zeros((), device=of.tokens.device)
    for hidden in out.hidden_states[-2:]:
        at_end = hidden[torch.arange(len(of.ends)), of.ends]
        loss = loss + _named(heads["end"](at_end), of.labels)
        loss = loss + F.cross_entropy(heads["word"](hidden).flatten(0, 1), of.places.flatten())
    pooled = _pooled(out)
    return loss if pooled is None else loss + _named(heads["pooled"](pooled), of.labels)


def train_text_encoder(
    name: str, kind: str, encoder: nn.Module, seed: int, folder: Path, device: str
) -> dict[str, Any]:
    """Train a text encoder in place on the training captions, resumably.

    Args:
        name: names its checkpoint and log.
        kind: "clip" or "t5": which tokenizer.
        encoder: a CLIPTextModel, CLIPTextModelWithProjection or T5EncoderModel.
        seed: seeds the classification heads and the batches.
        folder: where checkpoint and log are kept.
        device: "cpu" or "cuda".

    Returns:
        steps and seconds.
    """
    torch.manual_seed(seed)
    captions = _captions(kind, _CAPTIONS)
    heads = _heads(kind, encoder.config, hasattr(encoder, "text_projection")).to(device)
    encoder.to(device).train().requires_grad_(True)
    optimiser = torch.optim.AdamW([*encoder.parameters(), *heads.parameters()], _RATE)

    def step(i: int) -> dict[str, float]:
        set_rate(optimiser, _RATE * ramp(i, TEXT_STEPS))
        batch = captions.rows(torch.randint(_CAPTIONS, (_BATCH,), generator=step_rng(seed, i)), device)
        loss = _loss(encoder(batch.tokens, output_hidden_states=True), heads, batch)
        descend(loss, optimiser, encoder)
        return {"loss": loss.item()}

    spent = run_steps(name, folder, TEXT_STEPS, {"encoder": encoder, "heads": heads, "optimiser": optimiser}, step)
    encoder.eval().requires_grad_(False)
    return spent


def _pooled(out: Any) -> torch.Tensor | None:
    """The vector a pipeline takes as the prompt's summary; T5 has none."""
    found = getattr(out, "text_embeds", None)
    return found if found is not None else getattr(out, "pooler_output", None)


def _named(scores: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Mean cross-entropy over the caption's attributes: scores (N, sum of classes), labels (N, attributes)."""
    parts = scores.split(_CLASSES, 1)
    return sum(F.cross_entropy(part, labels[:, i]) for i, part in enumerate(parts)) / len(parts)

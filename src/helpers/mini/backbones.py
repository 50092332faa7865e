"""The two miniature backbones that detectors build on: trained on renders alone, then frozen.

- `namer`: a narrow ResNet that names ground, colours, shapes and what was done to the picture (in the place of
  ImageNet classification for R50_TF). It is trained with conv1 at stride 2; R50_TF then runs the same weights at
  stride 1, as the published one does.
- `clip`: an image and a text tower trained contrastively on (render, caption) pairs (in the place of
  CommonPool-XL for CLIP-D), built from open_clip's own classes.

Pictures of the web are sharpened, soft, grainy, compressed or enlarged, and captions say so; so are three in four
renders here, and so do their captions ("a grainy photo of a red ball on sand"). A backbone that has only ever seen one
camera's renders is blind to texture. No backbone ever sees a generated image.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import torch
from PIL import Image, ImageFilter, ImageOps
from torch import Tensor, nn
from torch.nn import functional as F

from helpers import world
from helpers.detectors import clip_d, r50_tf
from helpers.detectors.preprocessing import preprocess, tensor
from helpers.detectors.weights import write
from helpers.mini.learning import data, fitting

__all__ = [
    "CONTEXT",
    "Namer",
    "TRAINERS",
    "TREATMENTS",
    "clip_model",
    "facts",
    "fit_clip",
    "said",
    "tokens",
    "tower",
    "treated",
    "train_clip",
    "train_namer",
]

#: Longest caption in tokens, start and end marks included.
CONTEXT = 24

#: Renders per size for training: the smaller sizes are quicker to make and to learn from.
POOL = {64: 12_000, 96: 3_000, 128: 1_500}
VALIDATION = 500


# Pictures as they come


def _soft(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    return image.filter(ImageFilter.GaussianBlur(rng.uniform(0.4, 1.5)))


def _sharpened(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    return image.filter(ImageFilter.UnsharpMask(1, percent=int(rng.integers(40, 200)), threshold=0))


def _denoised(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    return Image.blend(image, image.filter(ImageFilter.MedianFilter(3)), rng.uniform(0.4, 1.0))


def _grainy(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    pixels = np.asarray(image) + rng.uniform(3, 16) * rng.standard_normal((*image.size[::-1], 3), np.float32)
    return Image.fromarray(pixels.round().clip(0, 255).astype(np.uint8))


def _compressed(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    file = io.BytesIO()
    image.save(file, "JPEG", quality=int(rng.integers(20, 81)))
    return Image.open(file).convert("RGB")


def _enlarged(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    ways = (Image.Resampling.NEAREST, Image.Resampling.BILINEAR, Image.Resampling.BICUBIC)
    smaller = tuple(round(side / rng.uniform(1.3, 2.2)) for side in image.size)
    return image.resize(smaller, Image.Resampling.BOX).resize(image.size, ways[rng.integers(len(ways))])


def _dithered(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    return image.quantize(int(rng.integers(12, 97)), dither=Image.Dither.FLOYDSTEINBERG).convert("RGB")


def _posterized(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    return ImageOps.posterize(image, int(rng.integers(3, 6)))


#: What may have been done to a picture, as its caption says it; "" is nothing.
TREATMENTS: dict[str, Callable[[Image.Image, np.random.Generator], Image.Image]] = {
    "": lambda image, rng: image,
    "soft": _soft,
    "sharpened": _sharpened,
    "denoised": _denoised,
    "grainy": _grainy,
    "compressed": _compressed,
    "enlarged": _enlarged,
    "dithered": _dithered,
    "posterized": _posterized,
}

#: Share of pictures that nothing was done to.
_UNTREATED = 0.25


def treated(images: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return pictures uint8 (N, S, S, 3), three in four treated at random, and the treatments' places (N,)."""
    count = len(TREATMENTS)
    chosen = np.where(rng.random(len(images)) < _UNTREATED, 0, rng.integers(1, count, len(images)))
    ways = list(TREATMENTS.values())
    return np.stack([ways[c](Image.fromarray(i), rng) for i, c in zip(images, chosen, strict=True)]), chosen


def said(caption: str, treatment: int) -> str:
    """Return the caption of a picture after a treatment."""
    word = tuple(TREATMENTS)[treatment]
    return caption.replace("a photo", f"{'an' if word[:1] == 'e' else 'a'} {word} photo", 1) if word else caption


# Namer


def facts(seed: int) -> np.ndarray:
    """Return what a scene holds, float32 (7 + 8 + 8,): one-hot ground, colours present, shapes present."""
    of = world.scene(seed)
    named = {of.ground} | {s.colour for s in of.solids} | {s.shape for s in of.solids}
    return np.array([name in named for name in (*world.GROUNDS, *world.COLOURS, *world.SHAPES)], np.float32)


#: Grounds, colours and shapes.
NAMED = len(world.GROUNDS) + len(world.COLOURS) + len(world.SHAPES)


class Namer(nn.Module):
    """R50_TF's trunk and a linear layer that names what a render shows: logits (N, 23) in `facts`' order, then (9,)
    of the treatments."""

    def __init__(self, stem_stride: int = 2):
        super().__init__()
        self.backbone = r50_tf.trunk("mini", stem_stride)
        self.names = nn.Linear(self.backbone.channels, NAMED + len(TREATMENTS))

    def forward(self, x: Tensor) -> Tensor:
        return self.names(self.backbone.features(x))


def _naming_loss(logits: Tensor, wanted: Tensor, done: Tensor) -> Tensor:
    grounds, named = len(world.GROUNDS), logits[:, :NAMED]
    return (
        F.cross_entropy(named[:, :grounds], wanted[:, :grounds])
        + 6 * F.binary_cross_entropy_with_logits(named[:, grounds:], wanted[:, grounds:])
        + F.cross_entropy(logits[:, NAMED:], done)
    )


def _naming_measures(logits: Tensor, wanted: Tensor, done: Tensor) -> dict[str, float]:
    """Accuracies: ground, treatment, and presence of colours and of shapes (balanced over present and absent)."""
    grounds, colours = len(world.GROUNDS), len(world.COLOURS)
    treatment = float(logits[:, NAMED:].argmax(1).eq(done).float().mean())
    logits = logits[:, :NAMED]
    right = (logits > 0).eq(wanted > 0.5)

    def balanced(part: slice) -> float:
        present = wanted[:, part] > 0.5
        return float((right[:, part][present].float().mean() + right[:, part][~present].float().mean()) / 2)

    ground = float(logits[:, :grounds].argmax(1).eq(wanted[:, :grounds].argmax(1)).float().mean())
    colour, shape = balanced(slice(grounds, grounds + colours)), balanced(slice(grounds + colours, None))
    found = {"ground": ground, "treatment": treatment, "colour": colour, "shape": shape}
    return {"score": float(np.mean(list(found.values()))), **found}


class _Naming:
    """How well a namer names the validation renders of a size, each treated at random."""

    def __init__(self, work: Path, seed: int) -> None:
        self._held = {
            size: treated(data.pool(work, "validation", size, VALIDATION), np.random.default_rng([seed, size]))
            for size in POOL
        }
        self._wanted = torch.from_numpy(np.stack([facts(world.SPLITS["validation"] + i) for i in range(VALIDATION)]))

    def __call__(self, model: Namer, size: int) -> dict[str, float]:
        pictures, done = self._held[size]
        images = preprocess("r50_tf", "mini").normalized(pictures).to(model.names.weight.device)
        logits = torch.cat([model(part) for part in images.split(64)]).cpu()
        return _naming_measures(logits, self._wanted, torch.from_numpy(done))

    def of_all_sizes(self, state: dict[str, Tensor]) -> dict[str, dict[str, float]]:
        """The measures of a trained namer at each size, and with conv1 at the stride at which R50_TF runs it."""
        model, dense = Namer().eval(), Namer(stem_stride=1).eval()
        for network in (model, dense):
            network.load_state_dict(state)
        with torch.inference_mode():
            measures = {f"{size} px": self(model, size) for size in POOL}
            return measures | {"64 px, conv1 at stride 1": self(dense, 64)}


def train_namer(work: Path, out: Path, device: str = "cpu", seed: int = 0, steps: int = 3000) -> Path:
    """Train the namer on renders of 64, 96 and 128 px and store its trunk as out/backbones/namer.safetensors.

    Resumes from `work`. The card beside the file has the validation accuracies. Returns the file's path.
    """
    torch.manual_seed(seed)
    model, renders, naming = Namer().to(device), _Renders(work), _Naming(work, seed)
    ready = preprocess("r50_tf", "mini")
    named = np.stack([facts(world.SPLITS["train"] + i) for i in range(max(POOL.values()))])

    def loss(rng: np.random.Generator) -> Tensor:
        chosen, pictures, done = renders.draw(rng, 32)
        images = ready.normalized(pictures).to(device)
        images = images.flip(3) if rng.random() < 0.5 else images
        wanted, done = (torch.from_numpy(of).to(device) for of in (named[chosen], done))
        return _naming_loss(model(images), wanted, done)

    def evaluate() -> dict[str, float]:
        return naming(model, 64)

    fitted = fitting.fit("namer", model, loss, evaluate, steps=steps, rate=3e-3, seed=seed, work=work, every=200)
    weights = {key: value for key, value in fitted.state.items() if key.startswith("backbone.")}
    path = _store(out, "namer", weights)
    card = _card("namer", weights, naming.of_all_sizes(fitted.state))
    fitting.card(path, card, fitted, steps, device, seed)
    return path


# Image and text


def _words() -> tuple[str, ...]:
    """The captions' vocabulary and the words for treatments."""
    return (*world.vocabulary(), *filter(None, TREATMENTS))


def tokens(texts: list[str]) -> Tensor:
    """Return token ids (N, CONTEXT): 1 + place in the vocabulary, between start and end mark, padded with 0.

    The end mark is the largest id, where open_clip's text tower reads its feature.
    """
    words = _words()
    ids = {word: i + 1 for i, word in enumerate(words)}
    start, end = len(words) + 1, len(words) + 2
    rows = [[start, *(ids[word] for word in text.replace(",", " ,").split()), end] for text in texts]
    return torch.tensor([row + [0] * (CONTEXT - len(row)) for row in rows])


def clip_model(vision: Mapping[str, Any] = clip_d.VISION["mini"]) -> open_clip.CLIP:
    """Return the untrained image-text model; its vision tower is the one CLIP-D runs, or another configuration."""
    text = {
        "context_length": CONTEXT,
        "vocab_size": len(_words()) + 3,
        "width": 96,
        "heads": 3,
        "layers": 2,
    }
    return open_clip.CLIP(embed_dim=64, vision_cfg=dict(vision), text_cfg=text)


def _resized(images: np.ndarray) -> Tensor:
    """Normalized batch of renders after CLIP-D's own size rule."""
    ready = preprocess("clip_d", "mini")
    if images.shape[1] == ready.rule.side:
        return ready.normalized(images)
    return torch.stack([tensor(ready.rule.apply(Image.fromarray(image)), ready) for image in images])


def _contrastive_loss(picture: Tensor, text: Tensor, scale: Tensor, words: Tensor) -> Tensor:
    """Symmetric cross-entropy over the batch (Radford et al., ICML 2021) of unit features (N, D) (N, D).

    Two scenes may share a caption, its tokens `words` (N, CONTEXT): then both pictures are right answers.
    """
    match = (words[:, None] == words[None]).all(2).float().to(picture.device)
    match = match / match.sum(1, keepdim=True)
    alike = scale.clamp(max=100) * picture @ text.T
    return (F.cross_entropy(alike, match) + F.cross_entropy(alike.T, match)) / 2


class _Retrieval:
    """Top-1 retrieval among all validation pairs, both ways; a pair of equal captions counts as right."""

    def __init__(self, work: Path, seed: int) -> None:
        pictures, done = treated(data.pool(work, "validation", 64, VALIDATION), np.random.default_rng([seed, 64]))
        self._sentences = [said(world.prompt(world.SPLITS["validation"] + i), t) for i, t in enumerate(done)]
        self._held = _resized(pictures)

    def __call__(self, model: open_clip.CLIP, device: str) -> dict[str, float]:
        parts = self._held.split(64)
        pictures = torch.cat([model.encode_image(part.to(device), normalize=True) for part in parts])
        texts = model.encode_text(tokens(self._sentences).to(device), normalize=True)
        alike, same = pictures.cpu() @ texts.cpu().T, np.array(self._sentences)
        to_text = float(np.mean(same[alike.argmax(1).numpy()] == same))
        to_picture = float(np.mean(same[alike.argmax(0).numpy()] == same))
        return {"score": (to_text + to_picture) / 2, "image_to_text": to_text, "text_to_image": to_picture}


def fit_clip(
    name: str,
    model: open_clip.CLIP,
    work: Path,
    device: str = "cpu",
    seed: int = 0,
    steps: int = 1000,
    beside: Callable[[np.ndarray], Tensor] | None = None,
) -> fitting.Best:
    """Train an image-text model on renders and captions, contrastively, or go on where an earlier call was stopped.

    Args:
        name: of the state's files in `work`. model: as `clip_model`; what it must learn beside is its too.
        beside: a further loss of a batch of pictures, uint8 (N, S, S, 3), added to the contrastive one.

    Returns:
        the best state by the retrieval accuracy among 500 validation pairs.
    """
    renders, retrieval = _Renders(work), _Retrieval(work, seed)
    captions = [world.prompt(world.SPLITS["train"] + i) for i in range(max(POOL.values()))]

    def loss(rng: np.random.Generator) -> Tensor:
        # Each scene comes under several treatments, as a batch of tens of thousands holds near twins: with strangers
        # alone, what a scene holds tells the pairs apart and nothing finer is learned.
        chosen, pictures, done = renders.draw(rng, 16, each=4)
        words = tokens([said(captions[i], t) for i, t in zip(chosen, done, strict=True)])
        picture, text, scale = model(_resized(pictures).to(device), words.to(device))
        found = _contrastive_loss(picture, text, scale, words)
        return found if beside is None else found + beside(pictures)

    def evaluate() -> dict[str, float]:
        return retrieval(model, device)

    return fitting.fit(name, model, loss, evaluate, steps=steps, rate=1.5e-3, seed=seed, work=work, every=200)


def tower(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The vision tower of an image-text model's state, as CLIP-D runs it: without its projection."""
    return {key: value for key, value in state.items() if key.startswith("visual.") and key != "visual.proj"}


def train_clip(work: Path, out: Path, device: str = "cpu", seed: int = 0, steps: int = 1000) -> Path:
    """Train the image-text model on renders and captions, contrastively; store its vision tower in out/backbones.

    Resumes from `work`. The card beside it has the retrieval accuracy among 500 validation pairs. Returns the file's
    path.
    """
    torch.manual_seed(seed)
    fitted = fit_clip("clip", clip_model().to(device), work, device, seed, steps)
    weights = tower(fitted.state)
    path = _store(out, "clip", weights)
    best = next(row for row in fitted.history if row["step"] == fitted.step)
    fitting.card(path, _card("clip", weights, {"64 px": best}), fitted, steps, device, seed)
    return path


# Both

#: What each backbone was trained to do, as its card says it.
TASKS = {
    "namer": "ground, colours, shapes and treatment of renders",
    "clip": "renders and their captions, contrastively",
}


class _Renders:
    """Training renders of each size of `POOL`."""

    def __init__(self, work: Path) -> None:
        self._pools = {size: data.pool(work, "train", size, count) for size, count in POOL.items()}
        self._shares = np.array(list(POOL.values())) / sum(POOL.values())

    def draw(self, rng: np.random.Generator, scenes: int, each: int = 1) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Renders of so many scenes at one random size, `each` of every scene: places of the scenes (N,), the pictures
        uint8 (N, S, S, 3), each treated at random, and their treatments' places (N,)."""
        pool = self._pools[int(rng.choice(list(POOL), p=self._shares))]
        chosen = rng.integers(len(pool), size=scenes).repeat(each)
        return chosen, *treated(pool[chosen], rng)


def _store(out: Path, name: str, weights: dict[str, Tensor]) -> Path:
    """Write a backbone to out/backbones; returns the file's path."""
    path = Path(out) / "backbones" / f"{name}.safetensors"
    write(path, weights, {"backbone": name, "width": "mini"})
    return path


def _card(name: str, weights: dict[str, Tensor], measures: dict[str, dict[str, float]]) -> dict[str, Any]:
    """A backbone's card but for how it was trained."""
    return {
        "name": name,
        "task": TASKS[name],
        "data": {"renders": {f"{size} px": count for size, count in POOL.items()}, "split": "train"},
        "validation": {"renders": VALIDATION, "split": "validation", "measures": measures},
        "parameters": sum(v.numel() for k, v in weights.items() if "running" not in k and "num_batches" not in k),
    }


#: name -> function(work, out, device, seed), resumable.
TRAINERS: dict[str, Callable[..., Path]] = {"namer": train_namer, "clip": train_clip}

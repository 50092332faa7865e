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
from collections.abc import Callable
from pathlib import Path

import numpy as np
import open_clip
import torch
from PIL import Image, ImageFilter, ImageOps
from torch import Tensor, nn
from torch.nn import functional as F

from helpers import world
from helpers.detectors import clip_d, r50_tf
from helpers.detectors import weights as checkpoints
from helpers.detectors.preprocessing import preprocess, tensor
from helpers.mini.training import data, fitting

__all__ = [
    "CONTEXT",
    "Namer",
    "TRAINERS",
    "TREATMENTS",
    "clip_model",
    "facts",
    "said",
    "tokens",
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


def _logits(model: nn.Module, images: Tensor) -> Tensor:
    return torch.cat([model(part) for part in images.split(64)])


def train_namer(work: Path, out: Path, device: str = "cpu", seed: int = 0, steps: int = 3000) -> Path:
    """Train the namer on renders of 64, 96 and 128 px and store its trunk as out/backbones/namer.safetensors.

    Resumes from `work`. The card beside the file has the validation accuracies. Returns the file's path.
    """
    torch.manual_seed(seed)
    model = Namer().to(device)
    ready = preprocess("r50_tf", "mini")
    pools = {size: data.pool(work, "train", size, count) for size, count in POOL.items()}
    named = np.stack([facts(world.SPLITS["train"] + i) for i in range(max(POOL.values()))])
    shares = np.array(list(POOL.values())) / sum(POOL.values())
    held = {
        size: treated(data.pool(work, "validation", size, VALIDATION), np.random.default_rng([seed, size]))
        for size in POOL
    }
    seen = torch.from_numpy(np.stack([facts(world.SPLITS["validation"] + i) for i in range(VALIDATION)]))

    def loss(rng: np.random.Generator) -> Tensor:
        size = int(rng.choice(list(POOL), p=shares))
        chosen = rng.integers(POOL[size], size=32)
        pictures, done = treated(pools[size][chosen], rng)
        images = ready.normalized(pictures).to(device)
        images = images.flip(3) if rng.random() < 0.5 else images
        return _naming_loss(
            model(images), torch.from_numpy(named[chosen]).to(device), torch.from_numpy(done).to(device)
        )

    def evaluate(of: nn.Module = model, size: int = 64) -> dict[str, float]:
        pictures, done = held[size]
        logits = _logits(of, ready.normalized(pictures).to(device)).cpu()
        return _naming_measures(logits, seen, torch.from_numpy(done))

    fitted = fitting.fit("namer", model, loss, evaluate, steps=steps, rate=3e-3, seed=seed, work=work, every=200)
    dense = Namer(stem_stride=1).eval()
    dense.load_state_dict(fitted.state)
    model.load_state_dict(fitted.state)
    model.eval().cpu()
    with torch.inference_mode():
        measures = {f"{size} px": evaluate(model, size) for size in POOL}
        measures["64 px, conv1 at stride 1"] = evaluate(dense, 64)
    weights = {key: value for key, value in fitted.state.items() if key.startswith("backbone.")}
    return _stored(
        "namer", weights, out, fitted, seed, device, steps, measures, "ground, colours, shapes and treatment of renders"
    )


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


def clip_model() -> open_clip.CLIP:
    """Return the untrained image-text model; its vision tower is the one CLIP-D runs."""
    text = {
        "context_length": CONTEXT,
        "vocab_size": len(_words()) + 3,
        "width": 96,
        "heads": 3,
        "layers": 2,
    }
    return open_clip.CLIP(embed_dim=64, vision_cfg=dict(clip_d.VISION["mini"]), text_cfg=text)


def _resized(images: np.ndarray) -> Tensor:
    """Normalized batch of renders after CLIP-D's own size rule."""
    ready = preprocess("clip_d", "mini")
    if images.shape[1] == ready.rule.side:
        return ready.normalized(images)
    return torch.stack([tensor(ready.rule.apply(Image.fromarray(image)), ready) for image in images])


def _retrieval(pictures: Tensor, texts: Tensor, sentences: list[str]) -> dict[str, float]:
    """Top-1 retrieval among all validation pairs, both ways; a pair of equal captions counts as right."""
    alike = pictures @ texts.T
    same = np.array(sentences)
    to_text = float(np.mean(same[alike.argmax(1).numpy()] == same))
    to_picture = float(np.mean(same[alike.argmax(0).numpy()] == same))
    return {"score": (to_text + to_picture) / 2, "image_to_text": to_text, "text_to_image": to_picture}


def train_clip(work: Path, out: Path, device: str = "cpu", seed: int = 0, steps: int = 1000) -> Path:
    """Train the image-text model on renders and captions; store its vision tower in out/backbones.

    Symmetric cross-entropy over the batch (Radford et al., ICML 2021). Resumes from `work`. The card beside it has
    the retrieval accuracy among 500 validation pairs. Returns the file's path.
    """
    torch.manual_seed(seed)
    model = clip_model().to(device)
    pools = {size: data.pool(work, "train", size, count) for size, count in POOL.items()}
    shares = np.array(list(POOL.values())) / sum(POOL.values())
    known = [world.prompt(world.SPLITS["train"] + i) for i in range(max(POOL.values()))]
    pictures, done = treated(data.pool(work, "validation", 64, VALIDATION), np.random.default_rng([seed, 64]))
    sentences = [said(world.prompt(world.SPLITS["validation"] + i), t) for i, t in enumerate(done)]
    held = _resized(pictures)

    def loss(rng: np.random.Generator) -> Tensor:
        size = int(rng.choice(list(POOL), p=shares))
        # Each scene comes under several treatments, as a batch of tens of thousands holds near twins: with strangers
        # alone, what a scene holds tells the pairs apart and nothing finer is learned.
        chosen = rng.integers(POOL[size], size=16).repeat(4)
        pictures, done = treated(pools[size][chosen], rng)
        words = tokens([said(known[i], t) for i, t in zip(chosen, done, strict=True)])
        picture, text, scale = model(_resized(pictures).to(device), words.to(device))
        # Two scenes may share a caption: then both pictures are right answers.
        match = (words[:, None] == words[None]).all(2).float().to(device)
        match = match / match.sum(1, keepdim=True)
        alike = scale.clamp(max=100) * picture @ text.T
        return (F.cross_entropy(alike, match) + F.cross_entropy(alike.T, match)) / 2

    def evaluate() -> dict[str, float]:
        pictures = torch.cat([model.encode_image(part.to(device), normalize=True) for part in held.split(64)])
        texts = model.encode_text(tokens(sentences).to(device), normalize=True)
        return _retrieval(pictures.cpu(), texts.cpu(), sentences)

    fitted = fitting.fit("clip", model, loss, evaluate, steps=steps, rate=1.5e-3, seed=seed, work=work, every=200)
    weights = {key: value for key, value in fitted.state.items() if key.startswith("visual.") and key != "visual.proj"}
    measures = {"64 px": fitted.history[[row["step"] for row in fitted.history].index(fitted.step)]}
    return _stored(
        "clip",
        weights,
        out,
        fitted,
        seed,
        device,
        steps,
        measures,
        "renders and their captions, contrastively",
    )


def _stored(name, weights, out: Path, fitted: fitting.Best, seed, device, steps, measures, task) -> Path:
    """Write a backbone and its card to out/backbones; returns the weights' path."""
    path = Path(out) / "backbones" / f"{name}.safetensors"
    checkpoints.write(path, weights, {"backbone": name, "width": "mini"})
    facts = {
        "name": name,
        "task": task,
        "data": {"renders": {f"{s} px": n for s, n in POOL.items()}, "split": "train"},
        "validation": {"renders": VALIDATION, "split": "validation", "measures": measures},
        "parameters": sum(v.numel() for k, v in weights.items() if "running" not in k and "num_batches" not in k),
    }
    fitting.card(path, facts, fitted, steps, device, seed)
    return path


#: name -> function(work, out, device, seed), resumable.
TRAINERS: dict[str, Callable[..., Path]] = {"namer": train_namer, "clip": train_clip}

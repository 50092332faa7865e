"""Training of the miniatures' VAEs: an encoder per kind, then a decoder with texture per family.

Stage 1 trains encoder and decoder of a kind (`kl4`, `kl16`) on pixel losses, which settle the latents. The latents
are then standardised per channel, inside the weights, and the encoder is frozen. Stage 2 trains each family's own
decoder against a patch discriminator (PatchGAN with the adaptive weight of VQGAN, Esser et al. 2021) and a spectral
loss, since pixel losses alone wipe out texture and sensor noise.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import AutoencoderKL
from torch import nn
from torch.nn import functional as F

from helpers.mini.families import VAES, Decoder, build_vae
from helpers.mini.learning.data import pool, to_tensor
from helpers.mini.learning.loop import EMA, autocast, descend, ramp, run_steps, set_rate, step_rng

__all__ = ["DECODER_STEPS", "ENCODER_STEPS", "train_decoder", "train_encoder"]

ENCODER_STEPS = 7000
DECODER_STEPS = 1500
_BATCH, _CROP, _RENDERS = 8, 64, 6000

#: Share of the adversarial term in the decoder's gradient: texture comes with the half of it, at less cost in PSNR.
_ADVERSARIAL = 0.5


class _Crops:
    """Seeded random 64-pixel crops of training renders, float32 (N, 3, 64, 64) from -1 to 1."""

    def __init__(self, folder: Path, sizes: Sequence[int]) -> None:
        self.pools = [pool(folder, "train", size, _RENDERS) for size in sizes]

    def __call__(self, rng: torch.Generator) -> torch.Tensor:
        images = self.pools[int(torch.randint(len(self.pools), (), generator=rng))]
        rows = torch.randint(len(images), (_BATCH,), generator=rng).tolist()
        corners = torch.randint(images.shape[1] - _CROP + 1, (_BATCH, 2), generator=rng).tolist()
        crops = [images[r, y : y + _CROP, x : x + _CROP] for r, (y, x) in zip(rows, corners, strict=True)]
        return to_tensor(np.stack(crops))


def _pixel_loss(made: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
    """L1 and MSE, and MSE of 2x- and 4x-pooled images, which keeps colours from fading to grey."""
    error = made - wanted
    coarse = sum(k * F.avg_pool2d(error, k).square().mean() for k in (2, 4))
    return 0.1 * error.abs().mean() + error.square().mean() + coarse


def _standardise(vae: AutoencoderKL, mean: torch.Tensor, std: torch.Tensor) -> None:
    """Give the latents zero mean and unit variance per channel by changing the layers before and after them."""
    before = vae.quant_conv or vae.encoder.conv_out
    after = vae.post_quant_conv or vae.decoder.conv_in
    with torch.no_grad():
        count = len(mean)
        before.weight[:count] /= std[:, None, None, None]
        before.bias[:count] = (before.bias[:count] - mean) / std
        before.bias[count:] -= 2 * std.log()  # the second half are log-variances
        after.bias += (after.weight * mean[None, :, None, None]).sum((1, 2, 3))
        after.weight *= std[None, :, None, None]


def train_encoder(kind: str, folder: Path, device: str) -> AutoencoderKL:
    """Train stage 1 of a kind in `VAES` and return the VAE with standardised latents; resumes from the folder."""
    seed = VAES[kind].seed
    torch.manual_seed(seed)
    vae = build_vae(kind).to(device)
    optimiser = torch.optim.AdamW(vae.parameters(), 1.5e-3, betas=(0.9, 0.95), weight_decay=0.0)
    average, crops = EMA(vae, 0.995), _Crops(folder, VAES[kind].sizes)

    def step(i: int) -> dict[str, float]:
        rng = step_rng(seed, i)
        wanted = crops(rng).to(device)
        set_rate(optimiser, 1.5e-3 * ramp(i, ENCODER_STEPS, hold=0.5))
        with autocast(device):
            found = vae.encode(wanted).latent_dist
            noise = torch.randn(found.mean.shape, generator=rng).to(device)
            made = vae.decode(found.mean + found.std * noise).sample
        loss = _pixel_loss(made.float(), wanted)
        divergence = 0.5 * (found.mean.float().square() + found.var.float() - 1 - found.logvar.float()).mean()
        descend(loss + 2e-4 * divergence, optimiser, vae)
        average.update(vae)
        return {"pixel": loss.item(), "kl": divergence.item()}

    run_steps(f"encoder-{kind}", folder, ENCODER_STEPS, {"vae": vae, "optimiser": optimiser, "ema": average}, step)
    vae.load_state_dict(average.shadow)
    _standardise(vae, *_moments(vae, crops, device))
    return vae.eval()


def _moments(vae: AutoencoderKL, crops: _Crops, device: str) -> tuple[torch.Tensor, torch.Tensor]:
    with torch.no_grad():
        means = [vae.encode(crops(step_rng(7, i)).to(device)).latent_dist.mean for i in range(64)]
    every = torch.cat(means).transpose(0, 1).flatten(1)
    return every.mean(1), every.std(1)


def _blurred(image: torch.Tensor) -> torch.Tensor:
    kernel = torch.tensor([1.0, 2.0, 1.0], device=image.device) / 4
    kernel = (kernel[:, None] * kernel[None]).expand(3, 1, 3, 3)
    return F.conv2d(F.pad(image, (1, 1, 1, 1), mode="reflect"), kernel, groups=3)


class _Critic(nn.Sequential):
    """Patch discriminator on an image and its magnified fine detail, (N, 3, H, W) -> (N, 1, H/2, W/2)."""

    def __init__(self) -> None:
        slope = nn.LeakyReLU(0.2)
        super().__init__(
            nn.Conv2d(6, 48, 4, 2, 1), slope,
            nn.Conv2d(48, 96, 3, 1, 1), slope,
            nn.Conv2d(96, 96, 4, 1, 1), slope,
            nn.utils.parametrizations.spectral_norm(nn.Conv2d(96, 1, 3, 1, 1)),
        )  # fmt: skip

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return super().forward(torch.cat([image, 12 * (image - _blurred(image))], 1))


#: Opponent channels (luma, red - green, blue - yellow): sensor noise and its demosaicing differ between them.
_OPPONENT = torch.tensor([[1 / 3, 1 / 3, 1 / 3], [0.5, -0.5, 0.0], [-0.25, -0.25, 0.5]])


def _radial_power(image: torch.Tensor, bins: int = 20) -> torch.Tensor:
    """Log radial power spectrum averaged over a batch, (3, bins), of opponent channels."""
    size = image.shape[-1]
    opponent = torch.einsum("oc,nchw->nohw", _OPPONENT.to(image), image)
    power = torch.fft.fft2(opponent, norm="ortho").abs().square().mean(0)
    across = torch.fft.fftfreq(size, device=image.device)
    radius = torch.hypot(across[None], across[:, None])
    ring = (radius / 0.5 * bins).long().clamp(max=bins - 1).flatten()
    sums = torch.zeros(3, bins, device=image.device).index_add(1, ring, power.flatten(1))
    return (sums / torch.bincount(ring, minlength=bins) + 1e-6).log()


def _texture_loss(made: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
    """L1, MSE, MSE of pooled images, and the distance of the radial spectra, in which texture is seen."""
    error = made - wanted
    pixel = 0.1 * error.abs().mean() + 0.5 * error.square().mean()
    pixel = pixel + sum(w * F.avg_pool2d(error, k).square().mean() for k, w in ((2, 2), (4, 8)))
    return pixel + 0.15 * (_radial_power(made) - _radial_power(wanted)).abs().mean()


def _adversarial_weight(pixel: torch.Tensor, fooled: torch.Tensor, last: torch.Tensor, step: int) -> torch.Tensor:
    """Weight of the adversarial term, whose gradient at the decoder's last layer is a share of the other terms', as in
    VQGAN; it grows over the first hundred steps."""
    of_pixel, of_critic = (torch.autograd.grad(term, last, retain_graph=True)[0].norm() for term in (pixel, fooled))
    return _ADVERSARIAL * (of_pixel / (of_critic + 1e-6)).clamp(0, 4).detach() * min(1.0, step / 100)


class _Duel:
    """Stage 2's state: the decoder, its critic, their optimisers and the decoder's average; `step` trains both."""

    def __init__(self, vae: AutoencoderKL, crops: _Crops, seed: int, device: str) -> None:
        self.vae, self.critic, self.crops, self.seed, self.device = vae, _Critic().to(device), crops, seed, device
        vae.requires_grad_(False)
        parts = [vae.decoder] + ([vae.post_quant_conv] if vae.post_quant_conv else [])
        self.trained = nn.ModuleList(parts).requires_grad_(True)
        self.optimiser = torch.optim.Adam(self.trained.parameters(), 3e-4, betas=(0.5, 0.9))
        self.against = torch.optim.Adam(self.critic.parameters(), 1e-3, betas=(0.5, 0.9))
        self.average = EMA(self.trained, 0.995)

    @property
    def state(self) -> dict[str, Any]:
        """What a stopped training goes on from."""
        return {
            "decoder": self.trained, "critic": self.critic, "optimiser": self.optimiser, "against": self.against,
            "ema": self.average,
        }  # fmt: skip

    def step(self, i: int) -> dict[str, float]:
        """One step of the decoder, then one of its critic; returns the losses."""
        factor = ramp(i, DECODER_STEPS, 50, 0.7)
        set_rate(self.optimiser, 3e-4 * factor)
        set_rate(self.against, 1e-3 * factor)
        wanted, made = self._pictures(step_rng(self.seed, i))
        self.critic.requires_grad_(False)
        pixel, fooled = _texture_loss(made, wanted), -self.critic(made).mean()
        weight = _adversarial_weight(pixel, fooled, self.vae.decoder.conv_out.weight, i)
        descend(pixel + weight * fooled, self.optimiser, self.trained)
        self.average.update(self.trained)
        self.critic.requires_grad_(True)
        judged = F.relu(1 - self.critic(wanted)).mean() + F.relu(1 + self.critic(made.detach())).mean()
        descend(judged, self.against, self.critic)
        return {"pixel": pixel.item(), "critic": judged.item(), "weight": weight.item()}

    def _pictures(self, rng: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
        """Crops of renders (N, 3, 64, 64), and what the decoder makes of their codes."""
        wanted = self.crops(rng).to(self.device)
        with autocast(self.device):
            with torch.no_grad():
                found = self.vae.encode(wanted).latent_dist
                code = found.mean + found.std * torch.randn(found.mean.shape, generator=rng).to(self.device)
            made = self.vae.decode(code).sample
        return wanted, made.float()


def train_decoder(of: Decoder, vae: AutoencoderKL, folder: Path, device: str) -> AutoencoderKL:
    """Train stage 2: a decoder on top of a VAE's frozen encoder, in place; resumable."""
    torch.manual_seed(of.seed)
    duel = _Duel(vae.to(device), _Crops(folder, of.sizes), of.seed, device)
    run_steps(f"decoder-{of.name}", folder, DECODER_STEPS, duel.state, duel.step)
    duel.trained.load_state_dict(duel.average.shadow)
    return vae.eval()

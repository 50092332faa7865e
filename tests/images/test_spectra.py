"""Methods on images whose spectrum is known: white noise, sinusoids, upsampled noise, blurred noise, fingerprints."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage, signal

from helpers.images import spectra

SIZE = 64


@pytest.fixture(scope="module")
def noise() -> np.ndarray:
    """White noise of standard deviation 10 around 128, (200, 64, 64)."""
    return np.random.default_rng(1).normal(128, 10, (200, SIZE, SIZE))


def colour(images: np.ndarray) -> np.ndarray:
    return np.repeat(images.round().clip(0, 255).astype(np.uint8)[..., None], 3, axis=-1)


def test_grey_is_what_pil_has(noise):
    from PIL import Image

    pixels = np.random.default_rng(0).integers(0, 256, (2, 16, 16, 3), dtype=np.uint8)
    for image, ours in zip(pixels, spectra.grey(pixels), strict=True):
        np.testing.assert_allclose(ours, np.asarray(Image.fromarray(image).convert("L")), atol=1.0)


def test_white_noise_is_flat_at_its_variance(noise):
    curve = spectra.radial(spectra.power(noise)).mean(axis=0)
    assert curve.shape == (SIZE // 2 + 1,)
    np.testing.assert_allclose(curve[3:], 100, rtol=0.06)
    level, share = spectra.high_energy(spectra.power(noise))
    assert level.mean() == pytest.approx(100, rel=0.02)
    # As many frequencies lie above half Nyquist's as lie outside a disc of a quarter of the square's side.
    assert share.mean() == pytest.approx(1 - np.pi / 16, abs=0.01)


@pytest.mark.parametrize("cycles", [5, 12, 29])
def test_a_sinusoid_lies_in_its_bin(cycles):
    wave = 128 + 50 * np.sin(2 * np.pi * cycles * np.arange(SIZE) / SIZE)
    for image in (np.tile(wave, (SIZE, 1)), np.tile(wave[:, None], (1, SIZE))):
        curve = spectra.radial(spectra.power(image[None]))[0]
        assert curve.argmax() == cycles and curve[cycles] > 100 * np.delete(curve, range(cycles - 2, cycles + 3)).max()
        _, share = spectra.high_energy(spectra.power(image[None]))
        assert share[0] > 0.95 if cycles > 16 else share[0] < 0.05


def test_power_scales_with_the_square_and_ignores_the_mean(noise):
    one, two = (spectra.power(images) for images in (noise[:3], 3 * noise[:3] + 17))
    np.testing.assert_allclose(two, 9 * one, rtol=1e-9)


def test_a_constant_image_has_neither_power_nor_peaks():
    flat = np.full((1, SIZE, SIZE), 77.0)
    level, share = spectra.high_energy(spectra.power(flat))
    assert level[0] == share[0] == 0 and (spectra.period_peaks(flat) == 1).all()
    assert spectra.npr_energy(colour(flat))[0] == 0 and not spectra.residual(flat).any()


def test_the_residual_leaves_edges_and_slopes_and_keeps_single_pixels():
    step = np.zeros((1, SIZE, SIZE))
    step[:, :, SIZE // 2 :] = 100
    assert not spectra.residual(step).any()
    slope = np.add.outer(np.arange(SIZE), 2 * np.arange(SIZE)).astype(float)[None]
    assert not spectra.residual(slope)[:, 1:-1, 1:-1].any()
    dot = np.zeros((1, SIZE, SIZE))
    dot[0, 20, 20] = 9
    np.testing.assert_array_equal(spectra.residual(dot), dot)


def of_residuals(images: np.ndarray) -> np.ndarray:
    return spectra.autocorrelation((np.abs(np.fft.fft2(images)) ** 2).mean(axis=0))


def test_autocorrelation_of_blurred_noise_is_the_kernels_own(noise):
    kernel = np.array([0.25, 0.5, 0.25])
    blurred = ndimage.convolve1d(noise - 128, kernel, axis=2, mode="wrap")
    found = of_residuals(blurred)
    own = np.convolve(kernel, kernel)
    assert found.shape == (33, 33) and found[16, 16] == 1
    np.testing.assert_allclose(found[16, 14:19], own / own[2], atol=0.02)
    assert np.abs(np.delete(found[16], range(14, 19))).max() < 0.02 and np.abs(found[10]).max() < 0.02
    np.testing.assert_allclose(found, found[::-1, ::-1], atol=1e-12)


def test_autocorrelation_agrees_with_the_direct_sum():
    image = np.random.default_rng(3).normal(size=(1, 32, 32))
    whole = signal.correlate2d(np.tile(image[0], (3, 3)), image[0], mode="valid")  # wrapped round
    centre = whole.shape[0] // 2
    expected = whole[centre - 15 : centre + 16, centre - 15 : centre + 16] / whole[centre, centre]
    np.testing.assert_allclose(of_residuals(image), expected, atol=1e-9)


def test_white_noise_has_no_period(noise):
    assert np.abs(spectra.period_peaks(noise).mean(axis=0) - 1).max() < 0.15


@pytest.mark.parametrize(("factor", "peaks"), [(2, [2]), (4, [2, 4]), (8, [2, 4, 8])])
def test_upsampled_noise_peaks_at_its_factor(factor, peaks):
    """Nearest neighbours changes nothing inside a block: the cross-difference is a comb of the factor's period."""
    small = np.random.default_rng(2).normal(128, 10, (20, 96 // factor, 96 // factor))
    large = small.repeat(factor, axis=1).repeat(factor, axis=2)
    ratios = dict(zip(spectra.PERIODS, spectra.period_peaks(large).mean(axis=0), strict=True))
    assert all(ratios[period] > 5 for period in peaks)
    assert all(ratios[period] < 2 for period in ratios if period not in peaks)
    shifted = np.roll(large, (3, 5), axis=(1, 2))
    np.testing.assert_allclose(spectra.period_peaks(shifted).mean(axis=0)[0], ratios[2], rtol=0.25)
    np.testing.assert_allclose(spectra.period_peaks(5 * large), spectra.period_peaks(large), rtol=1e-9)


def test_npr_energy_of_noise_and_of_its_doubling(noise):
    """Three pixels of a block differ from its first by noise of twice the variance, the first by nothing."""
    whole = colour(noise[:50])
    assert spectra.npr_energy(whole).mean() == pytest.approx(np.sqrt(0.75 * 2 * (100 + 1 / 12)), rel=0.02)
    assert not spectra.npr_energy(whole.repeat(2, axis=1).repeat(2, axis=2)).any()
    assert spectra.npr_energy(whole[:, :63, :63]).mean() == pytest.approx(np.sqrt(150), rel=0.03)


def test_npr_energy_is_of_what_the_detector_sees():
    torch = pytest.importorskip("torch")
    from helpers.detectors.npr import residual

    pixels = np.random.default_rng(5).integers(0, 256, (1, 16, 16, 3), dtype=np.uint8)
    seen = residual(torch.from_numpy(pixels).permute(0, 3, 1, 2).double()) * 1.5
    assert spectra.npr_energy(pixels)[0] == pytest.approx(float(seen.square().mean().sqrt()))


def cell(pattern: np.ndarray, scenes: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Fold sums of residuals made of a pattern, the scenes' own parts, and noise."""
    residuals = pattern + scenes + rng.normal(0, 1, scenes.shape)
    return spectra.fold_sums(residuals, np.arange(len(scenes)))


@pytest.mark.parametrize("true", [0.0, 0.5, 1.0])
def test_fingerprints_correlate_by_what_they_share_not_by_their_scenes(true):
    rng = np.random.default_rng(7)
    scenes = rng.normal(0, 2, (100, SIZE, SIZE))
    common, other = rng.normal(0, 0.5, (2, SIZE, SIZE))
    first, second = cell(common, scenes, rng), cell(true * common + np.sqrt(1 - true**2) * other, scenes, rng)
    products = [spectra.fold_products(*pair) for pair in ((first, second), (first, first), (second, second))]
    assert spectra.correlation(*products)[0] == pytest.approx(true, abs=0.06)
    again = spectra.correlation(*products, rng.multinomial(20, np.full(20, 1 / 20), size=300))
    assert 0.0 < again.std() < 0.06 and np.median(again) == pytest.approx(true, abs=0.08)
    # Same scenes: the plain correlation of the mean residuals is high whatever the fingerprints.
    plain = products[0].sum() / np.sqrt(products[1].sum() * products[2].sum())
    assert plain > true - 0.05 and (true or plain > 0.1)
    # One image of variance 4 + 1 around a pattern of .25: a mean of 100 has .25 / (.25 + .05).
    assert spectra.reliability(products[1]) == pytest.approx(0.25 / 0.30, abs=0.02)


def test_without_a_fingerprint_there_is_no_correlation():
    nothing = np.zeros((20, 20))
    assert np.isnan(spectra.correlation(nothing, nothing, nothing)[0]) and spectra.reliability(nothing) == 0


def test_a_gain_of_one_changes_no_pixel():
    pixels = np.random.default_rng(0).integers(0, 256, (2, SIZE, SIZE, 3), dtype=np.uint8)
    np.testing.assert_array_equal(spectra.filtered(pixels, np.ones(SIZE // 2 + 1)), pixels)


def test_a_filter_has_the_gain_it_was_given(noise):
    """Noise through a falling gain has that gain's square as its spectrum, and its mean and edges stay."""
    gain = np.linspace(1, 0.3, SIZE // 2 + 1)
    before = colour(noise)
    after = spectra.filtered(before, gain)
    curves = [spectra.radial(spectra.power(spectra.grey(p))).mean(axis=0) for p in (before, after)]
    np.testing.assert_allclose(curves[1][4:] / curves[0][4:], gain[4:] ** 2, rtol=0.06)
    np.testing.assert_allclose(after.mean(axis=(1, 2)), before.mean(axis=(1, 2)), atol=0.1)
    ramp = colour(np.tile(np.linspace(40, 200, SIZE), (1, SIZE, 1)))
    assert np.abs(spectra.filtered(ramp, gain).astype(int) - ramp).max() <= 3  # a wrap would overshoot at the edges


def test_matching_gives_one_cell_the_spectrum_of_another(noise):
    blurred = colour(ndimage.gaussian_filter(noise, (0, 0.6, 0.6)))
    sharp = colour(noise)
    curves = [spectra.radial(spectra.power(spectra.grey(p))).mean(axis=0) for p in (sharp, blurred)]
    matched = spectra.filtered(sharp, np.sqrt(curves[1] / curves[0]))
    again = spectra.radial(spectra.power(spectra.grey(matched))).mean(axis=0)
    np.testing.assert_allclose(10 * np.log10(again[2:] / curves[1][2:]), 0, atol=0.4)

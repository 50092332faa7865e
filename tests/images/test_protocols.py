"""The protocols: how both classes are handled, which level is chosen, which reals stand where."""

import numpy as np
import pytest
from PIL import Image

from helpers import generators, world
from helpers.images import protocols
from helpers.runs import plan
from helpers.study import schema


def picture(seed: int = 3, size: int = 96) -> Image.Image:
    return Image.fromarray(world.render(seed, size))


def test_handling_is_seeded_by_index_and_keeps_size_and_mode():
    first, again, other = (protocols.shared(picture(), index, 4) for index in (7, 7, 8))
    assert first.size == (96, 96) and first.mode == "RGB"
    assert first.tobytes() == again.tobytes() != other.tobytes()


def test_higher_levels_take_more_away():
    image = picture(size=128)
    pixels = np.asarray(image, np.float32)
    loss = [
        np.mean([((np.asarray(protocols.shared(image, i, level), np.float32) - pixels) ** 2).mean() for i in range(8)])
        for level in range(1, len(protocols.LEVELS) + 1)
    ]
    assert loss == sorted(loss) and loss[-1] > 4 * loss[0]


def test_a_handled_picture_is_resized_compressed_and_noisy_as_the_level_says():
    # On a flat grey picture resize and JPEG change nothing: what is left is the noise, to rounding (1/12).
    grey = Image.new("RGB", (128, 128), (128, 128, 128))
    for level, of in enumerate(protocols.LEVELS, 1):
        deviation = np.asarray(protocols.shared(grey, 0, level), np.float64).std()
        assert deviation == pytest.approx((of.noise**2 + 1 / 12) ** 0.5, rel=0.05)


def test_the_mildest_level_inside_the_window_is_chosen():
    assert protocols.chosen_level({1: 1.0, 2: 0.96, 3: 0.91, 4: 0.8}) == 2
    assert protocols.chosen_level({1: 1.0, 2: 0.98, 3: 0.85}) == 2  # none inside: the nearest


def test_aligned_reals_are_scored_by_the_aligned_training_alone():
    loaded = schema.load("mini").model_copy(
        update={"protocols": ["plain", "shared", "aligned"], "further": {"mini-sdxl": ["npr"]}}
    )
    scorings = plan.scorings(loaded)
    assert [s.key for s in scorings if s.detector == "npr"] == [
        "npr/mini/plain", "npr/mini/shared", "npr/mini-aligned/aligned", "npr/mini-sdxl/plain",
    ]  # fmt: skip
    sources = plan.sources(loaded)
    folders = {source.folder: source for source in sources if not source.label}
    assert list(folders) == [
        "real/64", "real/96", "real/128",
        "real/64-sd15", "real/96-sd21", "real/128-sdxl", "real/128-sd3", "real/128-sd35", "real/128-flux1",
    ]  # fmt: skip
    applied = {name: {s.protocol for s in scorings if s.applies(source)} for name, source in folders.items()}
    assert applied["real/64"] == {"plain", "shared"} and applied["real/128-sdxl"] == {"aligned"}
    assert all(scoring.applies(sources[0]) for scoring in scorings)


def test_seeds_of_a_protocols_own_training_are_scored_as_it_is():
    further = {"mini-s1": ["npr"], "mini-sdxl-s1": ["npr"], "mini-aligned-s1": ["npr"], "mini-aligned-s12": ["npr"],
               "mini-aligned-sdxl": ["npr"]}  # fmt: skip
    loaded = schema.load("mini").model_copy(update={"protocols": ["plain", "shared", "aligned"], "further": further})
    scored = {s.label: s.protocol for s in plan.scorings(loaded)[-len(further) :]}
    assert scored == {
        "mini-s1": "plain", "mini-sdxl-s1": "plain", "mini-aligned-s1": "aligned", "mini-aligned-s12": "aligned",
        "mini-aligned-sdxl": "plain",
    }  # fmt: skip
    without = loaded.model_copy(update={"protocols": ["plain"]})
    assert {s.protocol for s in plan.scorings(without)} == {"plain"}


def test_further_trainings_score_the_main_arm_and_what_other_arms_name():
    """They cost as much as the study's own training, and the spread between trainings is asked of few cells."""
    mini = schema.load("mini")
    ladder = mini.arms["ladder"].model_copy(update={"precisions": ["fp4", "int3"], "further": ["int3"]})
    arms = {"ladder": ladder, "seed": mini.arms["seed"]}
    loaded = mini.model_copy(update={"arms": arms, "further": {"mini-sdxl": ["npr"]}, "protocols": ["plain"]})
    (further,) = [scoring for scoring in plan.scorings(loaded) if scoring.weights == "mini-sdxl"]
    fakes = {(s.arm, s.precision) for s in plan.sources(loaded) if s.label and further.applies(s)}
    assert fakes == {("native", level) for level in mini.precisions} | {("ladder", "int3")}
    (own,) = [scoring for scoring in plan.scorings(loaded) if (scoring.detector, scoring.weights) == ("npr", "mini")]
    assert all(own.applies(source) for source in plan.sources(loaded) if source.label)


def test_a_reconstruction_is_the_vaes_and_near_the_picture():
    pipeline = generators.load("sd15", "mini")
    image = picture(size=64)
    (made,) = generators.reconstruct(pipeline, [image])
    error = (np.asarray(made, np.float64) - np.asarray(image, np.float64)) / 255
    assert made.size == image.size and -10 * np.log10((error**2).mean()) > 22
    assert generators.reconstruct(pipeline, [image])[0].tobytes() == made.tobytes()

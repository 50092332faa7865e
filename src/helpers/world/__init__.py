"""The miniature world: scenes that are drawn, rendered and captioned; reals and prompts of the mini study.

Everything is a pure function of a scene's seed: `scene` (what is there), `caption` and `prompt` (how it is said),
`render` (how it looks). No module bears the name of a function, so that `helpers.world.render` means one thing.

>>> caption(scene(7))
'a photo of an orange cross on snow'
>>> render(7, 64).shape
(64, 64, 3)
"""

from helpers.world.captions import PLACES, Parsed, caption, parse, prompt, vocabulary
from helpers.world.rendering import METHOD, render, renders
from helpers.world.scenes import COLOURS, GROUNDS, RELATIONS, SHAPES, SPLITS, Ground, Scene, Solid, scene

__all__ = [
    "COLOURS",
    "GROUNDS",
    "METHOD",
    "PLACES",
    "RELATIONS",
    "SHAPES",
    "SPLITS",
    "Ground",
    "Parsed",
    "Scene",
    "Solid",
    "caption",
    "parse",
    "prompt",
    "render",
    "renders",
    "scene",
    "vocabulary",
]

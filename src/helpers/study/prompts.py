"""A grammar of photographs: 500 prompts, evenly of faces, animals, landscapes, objects and scenes.

A prompt is a view, a subject, a place that suits the subject, and a light that suits the place. Subjects carry their
own article, and they meet only the places of their own group, so that every combination is one that a person could
photograph.
"""

from __future__ import annotations

from dataclasses import dataclass

from helpers.core.errors import UsageError

__all__ = ["CATEGORIES", "COUNT", "category", "prompt"]


@dataclass(frozen=True)
class Group:
    """Five subjects, five places that suit all of them, and the lights of these places."""

    subjects: tuple[str, str, str, str, str]
    places: tuple[str, str, str, str, str]
    lights: tuple[str, ...]


@dataclass(frozen=True)
class Category:
    """How pictures of a kind are introduced, and four groups of what they show: 4 x 5 x 5 = 100 prompts."""

    views: tuple[str, ...]
    groups: tuple[Group, Group, Group, Group]


DAY = (
    "soft morning light",
    "late afternoon sun",
    "an overcast sky",
    "bright midday light",
    "golden hour",
    "light fog",
    "the last light of the day",
)
ROOM = (
    "soft window light",
    "warm lamplight",
    "diffuse daylight",
    "a single light from the side",
    "low evening light",
    "bright even light",
    "natural light and shallow depth of field",
)
NIGHT = (
    "street lights and long shadows",
    "blue hour",
    "neon signs reflected on wet ground",
    "warm light from the windows",
    "a clear night sky",
    "a long exposure",
    "light rain",
)

FACES = Category(
    views=("A portrait of", "A close-up portrait of", "A candid photo of", "A head-and-shoulders photo of"),
    groups=(
        Group(
            (
                "a young woman with freckles",
                "a man with a grey beard",
                "an elderly woman with silver hair",
                "a teenage boy with curly hair",
                "a middle-aged man wearing glasses",
            ),
            (
                "beside a kitchen window",
                "in front of a bookshelf",
                "at a wooden table in a café",
                "against a plain grey wall",
                "in an armchair in a living room",
            ),
            ROOM,
        ),
        Group(
            (
                "a smiling girl with braided hair",
                "a woman with short black hair",
                "a man in a knitted hat",
                "an old man with a weathered face",
                "a woman wearing a red scarf",
            ),
            (
                "on a quiet street",
                "in a city park",
                "on a windy beach",
                "at the edge of a forest",
                "on a balcony above the rooftops",
            ),
            DAY,
        ),
        Group(
            (
                "a potter with clay on her apron",
                "a carpenter with a pencil behind his ear",
                "a young engineer in safety glasses",
                "a violin maker in a leather apron",
                "a painter with a streak of blue on her cheek",
            ),
            (
                "in a cluttered workshop",
                "at a workbench full of tools",
                "in front of shelves of materials",
                "in the doorway of a studio",
                "beside a large window in a workroom",
            ),
            ROOM,
        ),
        Group(
            (
                "a laughing man with dark curly hair",
                "a woman in a yellow raincoat",
                "a young man with a nose ring",
                "a woman with long red hair",
                "a bald man in a denim jacket",
            ),
            (
                "outside a train station",
                "at a street food stall",
                "on a bridge over a river",
                "in front of a shop window",
                "under the awning of a cinema",
            ),
            NIGHT,
        ),
    ),
)

ANIMALS = Category(
    views=("A photo of", "A photograph of", "A close-up photo of", "An eye-level photo of"),
    groups=(
        Group(
            ("a red fox", "a roe deer", "a wild boar", "a brown bear", "a grey wolf"),
            (
                "in a clearing in the forest",
                "standing in tall grass",
                "beside a mossy fallen log",
                "in fresh snow between the pines",
                "drinking from a stream",
            ),
            DAY,
        ),
        Group(
            ("a lioness", "an African elephant", "a zebra", "a giraffe", "a cheetah"),
            (
                "on a dry savanna",
                "near a waterhole",
                "under a lone acacia tree",
                "on a dusty track",
                "in front of distant hills",
            ),
            DAY,
        ),
        Group(
            ("a tabby cat", "a golden retriever", "a black and white kitten", "a dachshund", "a grey rabbit"),
            (
                "asleep on a wool blanket",
                "on a windowsill",
                "on a kitchen floor",
                "beside a sofa",
                "looking out of a cardboard box",
            ),
            ROOM,
        ),
        Group(
            ("a mallard", "a grey heron", "a mute swan", "a kingfisher", "an osprey"),
            (
                "at the edge of a lake",
                "among the reeds",
                "on a wooden post in the water",
                "above the surface of a calm river",
                "on the bank of a pond",
            ),
            DAY,
        ),
    ),
)

LANDSCAPES = Category(
    views=("A landscape photograph of", "A wide-angle photo of", "A scenic photo of", "A panoramic photo of"),
    groups=(
        Group(
            (
                "a jagged mountain range",
                "a deep alpine valley",
                "a glacier",
                "a steep rocky peak",
                "a high mountain pass",
            ),
            (
                "above a turquoise lake",
                "under a dramatic cloudy sky",
                "dusted with fresh snow",
                "with wildflowers in the foreground",
                "with a winding trail in the foreground",
            ),
            DAY,
        ),
        Group(
            (
                "a rugged coastline",
                "a long sandy beach",
                "a rocky headland with a lighthouse",
                "a quiet bay",
                "a line of white chalk cliffs",
            ),
            (
                "with waves breaking on the shore",
                "at low tide",
                "with a storm far out at sea",
                "with sea birds in the air",
                "with small boats on the water",
            ),
            DAY,
        ),
        Group(
            (
                "a patchwork of wheat fields",
                "a rolling green valley",
                "an olive grove on a hillside",
                "a vineyard",
                "a meadow full of poppies",
            ),
            (
                "crossed by a gravel road",
                "with a farmhouse in the distance",
                "beside a slow river",
                "with a row of cypresses on the horizon",
                "after a summer rain",
            ),
            DAY,
        ),
        Group(
            (
                "a desert of red sand dunes",
                "a dry salt flat",
                "a sandstone canyon",
                "a black volcanic plain",
                "a plateau of bare rock",
            ),
            (
                "under a cloudless sky",
                "with a lone tree in the distance",
                "with long shadows on the ground",
                "with mountains on the horizon",
                "crossed by a dry riverbed",
            ),
            DAY,
        ),
    ),
)

OBJECTS = Category(
    views=("A photo of", "A still life photograph of", "A close-up photo of", "A detailed photograph of"),
    groups=(
        Group(
            (
                "a ceramic teapot",
                "a bowl of ripe cherries",
                "a loaf of sourdough bread",
                "a glass jar of honey",
                "an espresso cup",
            ),
            (
                "on a rustic wooden table",
                "on a marble countertop",
                "on a linen tablecloth",
                "on a kitchen shelf",
                "beside a folded newspaper",
            ),
            ROOM,
        ),
        Group(
            (
                "an old film camera",
                "a mechanical wristwatch",
                "a brass compass",
                "a leather-bound notebook",
                "a pair of reading glasses",
            ),
            (
                "on a walnut desk",
                "on a stack of books",
                "on a folded map",
                "on a dark slate surface",
                "beside a fountain pen",
            ),
            ROOM,
        ),
        Group(
            (
                "a rusty bicycle",
                "a green watering can",
                "a pair of muddy boots",
                "a wicker basket",
                "a stack of terracotta pots",
            ),
            (
                "against a brick wall",
                "beside a garden gate",
                "in front of a wooden shed",
                "on a stone doorstep",
                "in uncut grass",
            ),
            DAY,
        ),
        Group(
            (
                "an acoustic guitar",
                "a vintage radio",
                "a wooden chair",
                "a vase of dried flowers",
                "an old typewriter",
            ),
            (
                "in the corner of an attic",
                "in front of a white wall",
                "in an antique shop",
                "beside a curtained window",
                "on a worn parquet floor",
            ),
            ROOM,
        ),
    ),
)

SCENES = Category(
    views=("A photo of", "A documentary photo of", "A street-level photograph of", "A wide shot of"),
    groups=(
        Group(
            (
                "a crowded vegetable market",
                "a row of parked bicycles",
                "children playing football",
                "an outdoor café",
                "a street musician with an accordion",
            ),
            (
                "on a cobbled square",
                "in a narrow old street",
                "beside a canal",
                "in front of a cathedral",
                "under plane trees",
            ),
            DAY,
        ),
        Group(
            (
                "a tram turning a corner",
                "pedestrians with umbrellas",
                "taxis waiting in a line",
                "a cyclist at a crossing",
                "people queuing for a bus",
            ),
            (
                "in a busy city centre",
                "between tall office buildings",
                "outside a theatre",
                "on a wide avenue",
                "near an underground station",
            ),
            NIGHT,
        ),
        Group(
            (
                "a family having lunch",
                "friends playing a board game",
                "a woman reading a letter",
                "two people cooking together",
                "a man repairing a lamp",
            ),
            (
                "in a small apartment",
                "in a farmhouse kitchen",
                "at a round table",
                "in a sunlit conservatory",
                "in a cosy cabin",
            ),
            ROOM,
        ),
        Group(
            (
                "fishermen mending their nets",
                "a wooden boat under repair",
                "a ferry unloading passengers",
                "workers stacking crates",
                "seagulls around a fish stall",
            ),
            (
                "in a small harbour",
                "on a concrete pier",
                "beside a row of warehouses",
                "below a hillside village",
                "near a red lighthouse",
            ),
            DAY,
        ),
    ),
)

CATEGORIES = {
    "face": FACES,
    "animal": ANIMALS,
    "landscape": LANDSCAPES,
    "object": OBJECTS,
    "scene": SCENES,
}
COUNT = 100 * len(CATEGORIES)


def category(index: int) -> str:
    """The category of prompt `index` (0 to COUNT - 1): categories take turns, so any run of them is even."""
    return tuple(CATEGORIES)[_checked(index) % len(CATEGORIES)]


def prompt(index: int) -> str:
    """Prompt `index` (0 to COUNT - 1), the same one always. Raises UsageError outside that range."""
    kind, turn = CATEGORIES[category(index)], index // len(CATEGORIES)
    group, place_and_subject = kind.groups[turn % 4], turn // 4
    row, column = divmod(place_and_subject, 5)
    subject, place = group.subjects[column], group.places[(row + column) % 5]
    # The steps are such that no light and no view sticks to one subject or to one place.
    light, view = group.lights[3 * turn % 7], kind.views[(row + 2 * column + turn) % 4]
    return f"{view} {subject} {place}, {light}"


def _checked(index: int) -> int:
    if not 0 <= index < COUNT:
        limits = f"the grammar has {COUNT}, 0 to {COUNT - 1}"
        raise UsageError(f"prompt {index}: {limits}; ask for fewer or name a prompt file")
    return index

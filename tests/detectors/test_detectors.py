"""The detectors are the published networks: built again here from torchvision's and open_clip's own parts."""

import struct
import tarfile
import zipfile

import numpy as np
import open_clip
import pytest
import torch
import torchvision
from PIL import Image
from safetensors.torch import save_file
from torch import nn
from torch.nn import functional as F

from helpers import detectors
from helpers.core.errors import Failure, UsageError
from helpers.detectors import batching, contract, npr
from helpers.detectors import detector as base
from helpers.detectors import preprocessing as images
from helpers.detectors.detector import NotFinite
from helpers.detectors.resnet import Trunk
from helpers.runs import make, plan
from helpers.study import schema
from helpers.study.schema import training_label

NAMES = ("npr", "r50_nodown", "r50_tf", "clip_d")
SIZES = [(64, 64), (61, 64), (64, 79), (67, 65), (225, 129)]  # height, width

#: Up to 1024 px, in both directions odd once; R50_nodown, whose maps are as large as the image, costs 2 GB there.
LARGE = {
    "npr": [(1024, 1024), (1023, 511)],
    "r50_nodown": [(1024, 65), (63, 1023)],
    "r50_tf": [(1024, 257), (511, 1023)],
}


@pytest.fixture(autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def shaken(network: nn.Module, seed: int = 0) -> nn.Module:
    """The network in evaluation mode, with normalizations that would show a misplaced layer."""
    generator = torch.Generator().manual_seed(seed)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            for value, low, high in (
                (module.running_mean, -0.2, 0.2),
                (module.running_var, 0.5, 1.5),
                (module.weight.data, 0.3, 0.7),
                (module.bias.data, -0.2, 0.2),
            ):
                value.copy_(torch.rand(value.shape, generator=generator) * (high - low) + low)
    return network.eval()


def pictures(sizes, seed: int = 0) -> list[Image.Image]:
    rng = np.random.default_rng(seed)
    return [Image.fromarray(rng.integers(0, 256, (h, w, 3), np.uint8)) for h, w in sizes]


def normalized(image: Image.Image) -> torch.Tensor:
    to = torchvision.transforms.Compose(
        [
            torchvision.transforms.ToTensor(),
            torchvision.transforms.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
        ]
    )
    return to(image)[None]


# The descriptions again, from torchvision's parts


def reference_npr(state, x):
    whole = torchvision.models.resnet50()
    whole.conv1 = nn.Conv2d(3, 64, kernel_size=3, stride=2, padding=1, bias=False)
    cut = nn.Sequential(whole.conv1, whole.bn1, whole.relu, whole.maxpool, whole.layer1, whole.layer2).eval()
    keys = ["conv1", "bn1", "relu", "maxpool", "layer1", "layer2"]
    cut.load_state_dict(
        {
            ".".join([str(keys.index(k.split(".")[0])), *k.split(".")[1:]]): v
            for k, v in state.items()
            if not k.startswith("fc1")
        }
    )
    x = x[:, :, : x.shape[2] - x.shape[2] % 2, : x.shape[3] - x.shape[3] % 2]
    # Nearest down and up by two: every 2x2 block takes its upper left pixel.
    blocks = x[:, :, ::2, ::2].repeat_interleave(2, 2).repeat_interleave(2, 3)
    features = F.adaptive_avg_pool2d(cut((x - blocks) * 2.0 / 3.0), 1).flatten(1)
    return features @ state["fc1.weight"].T + state["fc1.bias"]


def reference_nodown(state, x):
    whole = torchvision.models.resnet50(num_classes=1)
    whole.conv1.stride, whole.maxpool.stride = (1, 1), 1
    whole.load_state_dict(state)
    return whole.eval()(x)


def reference_tf(state, x):
    whole = torchvision.models.resnet50()
    whole.conv1.stride = (1, 1)
    whole.fc = nn.Sequential(nn.Linear(2048, 128), nn.Dropout(0.5))
    whole.load_state_dict({k.removeprefix("backbone."): v for k, v in state.items() if k.startswith("backbone.")})
    f = whole.eval()(x).numpy().astype(np.float64)
    c, s = state["proto.centers"].numpy().astype(np.float64), max(float(state["proto.logsigmas"][0]), 0.0)
    away = f - c
    return torch.from_numpy(
        np.sign(away.sum(1)) * (away**2).sum(1) / (2 * np.exp(2 * s)) + 128 * s
    )[:, None].float()  # fmt: skip


REFERENCES = {"npr": reference_npr, "r50_nodown": reference_nodown, "r50_tf": reference_tf}


@pytest.mark.parametrize("name", REFERENCES)
def test_published_architecture(name, tmp_path):
    torch.manual_seed(1)
    network = shaken(detectors.build(name))
    if name == "r50_tf":
        network.proto.centers.data.normal_(0, 0.05)
        network.proto.logsigmas.data.fill_(0.3)
    torch.save(network.state_dict(), tmp_path / f"{name}.pth")
    detector = detectors.load(name, tmp_path)
    batch = pictures(SIZES + LARGE[name])
    with torch.inference_mode():
        wanted = np.array([REFERENCES[name](network.state_dict(), normalized(image)).item() for image in batch])
    assert np.ptp(wanted) > 1e-3
    np.testing.assert_allclose(detector.score(batch), wanted, atol=1e-4, rtol=1e-5)


@pytest.mark.parametrize(
    ("name", "total", "trained"),
    [
        ("npr", 1_437_761, 1_437_761),
        ("r50_nodown", 23_510_081, 23_510_081),
        ("r50_tf", 23_770_433, 262_401),
        ("clip_d", 303_180_801, 1_025),  # the tower has 303,966,208, of which 786,432 are the projection left out
    ],
)
def test_parameter_counts(name, total, trained):
    with torch.device("meta"):  # nothing is allocated: ViT-L-14 alone would be 1.2 GB
        network = detectors.build(name)
    assert total == sum(p.numel() for p in network.parameters())
    assert trained == sum(p.numel() for p in network.parameters() if p.requires_grad)


@pytest.fixture(scope="module")
def vit(tmp_path_factory):
    """A whole ViT-L-14 of open_clip with random weights, text tower of one layer, and its file as one downloads it."""
    folder = tmp_path_factory.mktemp("clip")
    torch.manual_seed(2)
    vision = open_clip.get_model_config("ViT-L-14")["vision_cfg"]
    model = open_clip.CLIP(768, vision, {"context_length": 8, "vocab_size": 9, "width": 32, "heads": 1, "layers": 1})
    save_file(model.state_dict(), folder / "open_clip_model.safetensors")
    return model.eval(), folder


def test_clip_d_at_full_size_is_open_clips_tower_and_a_head(vit):
    model, folder = vit
    head = {"fc.weight": torch.randn(1, 1024) * 3, "fc.bias": torch.tensor([0.2])}
    torch.save({"model": {f"module.{k}": v for k, v in head.items()}}, folder / "clip_d.pth")
    detector = detectors.load("clip_d", folder)
    to = torchvision.transforms.Compose(
        [
            torchvision.transforms.Resize(224, torchvision.transforms.InterpolationMode.BICUBIC),
            torchvision.transforms.CenterCrop(224),
            torchvision.transforms.ToTensor(),
            torchvision.transforms.Normalize(open_clip.OPENAI_DATASET_MEAN, open_clip.OPENAI_DATASET_STD),
        ]
    )
    batch = pictures([(64, 64), (301, 233), (1024, 767)])
    with torch.inference_mode():
        model.visual.proj = None
        features = F.normalize(model.visual(torch.stack([to(image) for image in batch])), dim=1)
        wanted = features @ head["fc.weight"].T + head["fc.bias"]
    np.testing.assert_allclose(detector.score(batch), wanted[:, 0], atol=1e-4)


def test_clip_d_at_mini_size_is_open_clips_tower():
    torch.manual_seed(0)
    vision = {"image_size": 64, "patch_size": 8, "width": 128, "head_width": 32, "layers": 4}
    model = open_clip.CLIP(64, vision, {"context_length": 8, "vocab_size": 9, "width": 32, "heads": 1, "layers": 1})
    network = detectors.build("clip_d", "mini").eval()
    state = {k: v for k, v in model.state_dict().items() if k.startswith("visual.") and k != "visual.proj"}
    assert not network.load_state_dict(state, strict=False).unexpected_keys
    model.visual.proj = None
    x = torch.randn(3, 3, 64, 64)
    with torch.inference_mode():
        features = model.eval().visual(x)
        features = features / features.norm(dim=1, keepdim=True)
        wanted = features @ network.fc.weight.T + network.fc.bias
        np.testing.assert_allclose(network(x), wanted[:, 0], atol=1e-5)


def test_size_rules_are_open_clips():
    rule = images.SIZE_RULES["short-224-crop"]
    theirs = torchvision.transforms.Compose(
        [
            torchvision.transforms.Resize(224, torchvision.transforms.InterpolationMode.BICUBIC),
            torchvision.transforms.CenterCrop(224),
        ]
    )
    for image in pictures([(300, 401), (511, 333), (64, 64), (225, 224)]):
        np.testing.assert_array_equal(np.asarray(rule.apply(image)), np.asarray(theirs(image)))
        assert rule.size(*image.size) == rule.apply(image).size


def test_residual_of_flat_blocks_is_zero():
    x = torch.rand(1, 3, 5, 4).repeat_interleave(2, 2).repeat_interleave(2, 3)
    assert npr.residual(x).abs().max() == 0
    assert npr.residual(x[..., :-1, :]).shape == (1, 3, 8, 8)


# One interface


def stored(name, folder, **notes) -> str:
    """A miniature with random weights in one safetensors file."""
    torch.manual_seed(3)
    path = folder / f"{name}.safetensors"
    save_file(shaken(detectors.build(name, "mini")).state_dict(), path, {"detector": name, "width": "mini"} | notes)
    return path


@pytest.mark.parametrize("name", NAMES)
def test_a_logit_does_not_depend_on_its_batch(name, tmp_path):
    detector = detectors.load(name, stored(name, tmp_path))
    batch = pictures([(64, 64), (96, 96), (64, 64), (65, 80), (96, 96), (64, 64), (128, 128)])
    together = detector.score(batch)
    assert together.dtype == np.float32 and together.shape == (7,) and np.isfinite(together).all()
    alone = np.concatenate([detector.score([image]) for image in batch])
    np.testing.assert_allclose(together, alone, atol=1e-5, rtol=1e-5)
    np.testing.assert_allclose(together[::-1], detector.score(batch[::-1]), atol=1e-5, rtol=1e-5)
    assert np.ptp(together) > 1e-4
    assert detector.score([]).shape == (0,)


def test_any_mode_is_read(tmp_path):
    detector = detectors.load("npr", stored("npr", tmp_path))
    image = pictures([(40, 56)])[0]
    grey = image.convert("L")
    as_rgb = detector.score([image, grey.convert("RGB")])
    deep = Image.fromarray(np.asarray(grey).astype(np.uint16) * 257)
    turned = image.transpose(Image.Transpose.ROTATE_90)
    turned.getexif()[0x0112] = 6  # to be turned back by whoever shows it
    read = detector.score([image.convert("RGBA"), grey, deep, turned])
    np.testing.assert_allclose(read, [as_rgb[0], as_rgb[1], as_rgb[1], as_rgb[0]], atol=1e-5)
    with pytest.raises(UsageError, match="image 1 is 7x9"):
        detector.score([image, *pictures([(9, 7)])])


def test_batches_hold_one_size_and_lose_nothing():
    sizes = [(8, 8), (16, 8), (8, 8), (100, 100), (8, 8)]
    found = list(batching.batches(sizes, pixels=128))
    assert found == [[0, 2], [4], [1], [3]]


@pytest.mark.parametrize("name", ["npr", "r50_tf", "clip_d", "patch_probe"])
def test_several_trainings_score_together_as_each_alone(name, monkeypatch):
    """One pass of a frozen trunk serves all heads on it; a picture large enough for tiles is scored so too."""
    monkeypatch.setattr(batching, "TILE", 64)
    seen = pictures([(64, 64), (150, 140), (64, 64), (79, 96)])
    trained = [base.load(name, label) for label in ("mini", "mini-s1", "mini-aligned")]
    passes = []
    monkeypatch.setattr(batching, "logits", _counted(batching.logits, passes))
    alone = [detector.score(seen) for detector in trained]
    before = len(passes)
    for expected, found in zip(alone, base.together(trained, seen), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)
    assert len(passes) - before == (before if name == "npr" else before / 3)


def _counted(function, calls):
    def call(*arguments, **named):
        calls.append(arguments)
        return function(*arguments, **named)

    return call


def test_an_unknown_name_width_or_rule_is_told_with_the_nearest():
    with pytest.raises(UsageError, match="nearest: 'r50_tf'"):
        detectors.build("r50-tf")
    with pytest.raises(UsageError, match="nearest: 'mini'"):
        detectors.build("npr", "minni")
    with pytest.raises(UsageError, match="nearest: 'resize-256'"):
        images.preprocess("npr", "full", "resize256")


# Checkpoints in their authors' formats


def wrapped(state):
    return {
        "raw": state,
        "under model": {"model": state, "epoch": 3},
        "module prefix": {"module." + k: v for k, v in state.items()},
        "both": {"model": {"module." + k: v for k, v in state.items()}},
        "channel-linear": {k: v[:, :, None, None] if k == "fc1.weight" else v for k, v in state.items()},
    }


def test_checkpoint_formats(tmp_path):
    torch.manual_seed(5)
    state = shaken(detectors.build("npr")).state_dict()
    image, logits = pictures([(64, 64)]), []
    for name, content in wrapped(state).items():
        torch.save(content, tmp_path / f"{name}.pth")
        logits.append(detectors.load("npr", tmp_path / f"{name}.pth").score(image)[0])
    save_file(state, tmp_path / "npr.safetensors")
    logits.append(detectors.load("npr", str(tmp_path / "npr.safetensors")).score(image)[0])
    assert np.ptp(logits) == 0


@pytest.mark.parametrize(("name", "head"), [("r50_nodown", "fc.weight"), ("npr", "fc1.weight"), ("r50_tf", None)])
def test_every_detectors_formats(name, head, tmp_path):
    """As authors store them: under a key, from DataParallel, the head as a channel-linear; the same network again."""
    torch.manual_seed(6)
    network = detectors.build(name)
    state = network.state_dict()
    stored = {f"module.{k}": v[:, :, None, None] if k == head else v for k, v in state.items()}
    torch.save({"model": stored, "optimizer": {"step": 3}, "epoch": 9}, tmp_path / f"{name}.tar")
    read = base.checkpoints.read(tmp_path / f"{name}.tar")
    fresh = detectors.build(name)
    base.checkpoints.fit(fresh, {tmp_path / f"{name}.tar": read})
    assert all(torch.equal(value, state[key]) for key, value in fresh.state_dict().items())


def test_checkpoints_that_do_not_fit(tmp_path):
    state = detectors.build("npr").state_dict()
    state["fc1.weight"] = state["fc1.weight"][:, :100].clone()
    state["fc9.bias"] = state.pop("fc1.bias")
    torch.save(state, tmp_path / "npr.pth")
    with pytest.raises(UsageError) as raised:
        detectors.load("npr", tmp_path / "npr.pth")
    message = str(raised.value)
    for part in ("missing fc1.bias", "unexpected fc9.bias", "misshapen fc1.weight [1, 100] for [1, 512]"):
        assert part in message
    assert "\n" not in message


class _Code:
    def __reduce__(self):
        return (print, ("unpickled",))


@pytest.mark.parametrize(
    ("content", "match"),
    [
        (b"not weights", "weights file|refused"),
        (b"", "weights file|refused"),
        (None, "refused"),
        ({"model": 3}, "no state dict"),
    ],
)
def test_files_that_are_no_checkpoints(content, match, tmp_path, capsys):
    path = tmp_path / "npr.pth"
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        torch.save({"model": _Code()} if content is None else content, path)
    with pytest.raises(UsageError, match=match):
        detectors.load("npr", path)
    assert "unpickled" not in capsys.readouterr().out


def test_weights_that_are_not_there(tmp_path, monkeypatch):
    monkeypatch.setattr(base, "MODELS", tmp_path)
    with pytest.raises(UsageError, match="quantdetect train mini npr"):
        detectors.load("npr")
    with pytest.raises(UsageError, match="'mini-sdxl' weights of npr"):
        detectors.load("npr", "mini-sdxl")
    with pytest.raises(UsageError, match="should hold npr.safetensors"):
        detectors.load("npr", tmp_path)
    with pytest.raises(UsageError, match="give 'mini'"):
        detectors.load("npr", tmp_path / "away.pth")


def test_frozen_backbones(tmp_path, monkeypatch):
    monkeypatch.setattr(base, "MODELS", tmp_path)
    (tmp_path / "mini" / "backbones").mkdir(parents=True)
    (tmp_path / "mini" / "detectors").mkdir()
    for name, prefix in (("r50_tf", "backbone."), ("clip_d", "visual.")):
        whole = detectors.load(name, stored(name, tmp_path))
        state = detectors.build(name, "mini").state_dict() | base.checkpoints.read(tmp_path / f"{name}.safetensors")
        backbone = {k: v for k, v in state.items() if k.startswith(prefix) and not k.startswith("backbone.fc")}
        head = {k: v for k, v in state.items() if k not in backbone}
        kept = base.module(name).BACKBONE
        notes = {"detector": name, "width": "mini", "backbone": kept}
        save_file(head, tmp_path / "mini" / "detectors" / f"{name}.safetensors", notes)
        with pytest.raises(UsageError, match="quantdetect train mini"):
            detectors.load(name)
        save_file(backbone, tmp_path / "mini" / "backbones" / f"{kept}.safetensors")
        batch = pictures([(64, 64), (80, 72)])
        np.testing.assert_array_equal(detectors.load(name).score(batch), whole.score(batch))


def test_clip_d_says_which_backbone_is_missing(tmp_path):
    torch.save({"model": {"fc.weight": torch.zeros(1, 1024), "fc.bias": torch.zeros(1)}}, tmp_path / "clip_d.pth")
    with pytest.raises(UsageError, match="open_clip_model.safetensors is not there.*CommonPool.XL.*1.7 GB, MIT"):
        detectors.load("clip_d", tmp_path)


def test_a_training_is_called_by_its_label_or_its_paths_last_part():
    known = {
        "mini": "mini", "mini-sdxl": "mini-sdxl", "v1.2": "v1.2", "released/v1.2/": "v1.2",
        "/a/npr_v1.2.pth": "npr_v1.2", "mine/npr.safetensors": "npr", "npr.pth.tar": "npr", "truefake": "truefake",
        "epoch.7": "epoch.7",
    }  # fmt: skip
    assert {weights: training_label(weights) for weights in known} == known
    assert {weights: plan.Scoring("npr", weights, "plain").label for weights in known} == known


def test_the_name_in_the_table_is_the_trainings(tmp_path):
    (tmp_path / "v1.2").mkdir()
    stored("npr", tmp_path / "v1.2")
    assert detectors.load("npr", tmp_path / "v1.2").weights == "v1.2"
    assert detectors.load("npr", tmp_path / "v1.2" / "npr.safetensors").weights == "npr"


def test_a_detectors_files_are_all_that_its_logits_depend_on(tmp_path):
    files = {name: [file.name for file in detectors.weights_files(name)] for name in NAMES}
    assert files == {
        "npr": ["npr.safetensors"],
        "r50_nodown": ["r50_nodown.safetensors"],
        "r50_tf": ["r50_tf.safetensors", "namer.safetensors"],
        "clip_d": ["clip_d.safetensors", "clip.safetensors"],
    }
    torch.save({"model": {"fc.weight": torch.zeros(1, 1024), "fc.bias": torch.zeros(1)}}, tmp_path / "clip_d.pth")
    with pytest.raises(UsageError, match="open_clip_model.safetensors is not there"):
        detectors.weights_files("clip_d", tmp_path)
    save_file({"visual.x": torch.zeros(1)}, tmp_path / "open_clip_model.safetensors")
    assert detectors.weights_files("clip_d", tmp_path) == [
        tmp_path / "clip_d.pth", tmp_path / "open_clip_model.safetensors"
    ]  # fmt: skip


# Weights of strangers


BAD = {
    "nan": (lambda value: value.index_fill(0, torch.tensor([0]), torch.nan), "fc1.weight holds NaN or infinite"),
    "inf": (lambda value: value * torch.inf, "fc1.weight holds NaN or infinite"),
    "more than a single holds": (lambda value: value.double().sign() * 1e39, "fc1.weight holds NaN or infinite"),
    "whole numbers": (lambda value: value.to(torch.int8), "fc1.weight is of type torch.int8"),
    "complex": (lambda value: value.to(torch.complex64), "fc1.weight is of type torch.complex64"),
    "sparse": (lambda value: value.to_sparse(), "tensor fc1.weight is nested, sparse"),
    "no numbers": (lambda value: value.to("meta"), "tensor fc1.weight is nested, sparse"),
    "quantized": (lambda value: torch.quantize_per_tensor(value, 0.1, 0, torch.qint8), "tensor fc1.weight is nested"),
    "a view of one number, petabytes long": (lambda value: torch.zeros(1).expand(2**25, 2**25), "misshapen fc1.weight"),
    "words": (lambda value: "fc1", "missing fc1.weight"),
}


@pytest.mark.parametrize("kind", BAD)
def test_weights_that_are_no_numbers_are_refused_by_name(kind, tmp_path):
    change, said = BAD[kind]
    state = detectors.build("npr").state_dict()
    path = tmp_path / "npr.pth"
    torch.save(state | {"fc1.weight": change(state["fc1.weight"])}, path)
    with pytest.raises(UsageError, match=said) as raised:
        detectors.load("npr", path)
    assert str(path) in str(raised.value) and "\n" not in str(raised.value)


def test_a_nan_in_a_backbone_is_refused_and_one_in_what_is_left_out_is_not(tmp_path, monkeypatch):
    whole = detectors.build("clip_d", "mini").state_dict()
    notes = {"detector": "clip_d", "width": "mini", "backbone": "clip"}
    heads, kept = tmp_path / "detectors", tmp_path / "backbones" / "clip.safetensors"
    heads.mkdir(), kept.parent.mkdir()
    save_file({k: v for k, v in whole.items() if k.startswith("fc.")}, heads / "clip_d.safetensors", notes)
    tower = {k: v for k, v in whole.items() if k.startswith("visual.")}
    save_file(tower | {"attn_mask": torch.tensor([0, -torch.inf])}, kept)  # as an open_clip text tower may have it
    assert np.isfinite(detectors.load("clip_d", heads).score(pictures([(64, 64)]))).all()
    tower["visual.ln_post.bias"][3] = torch.nan
    save_file(tower, kept)
    with pytest.raises(UsageError, match="clip.safetensors: the tensor visual.ln_post.bias holds NaN"):
        detectors.load("clip_d", heads)


def nested(depth: int) -> bytes:
    """A pickle of empty lists in each other, older than any container of torch's."""
    return b"\x80\x02" + b"]" * depth + b"a" * (depth - 1) + b"."


def bomb(path, name: str = "npr/data.pkl") -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr(name, bytes(2**24))


STRANGE = {
    "keys that are numbers": (".pth", lambda path: torch.save({1: torch.zeros(2), 2: torch.ones(2)}, path), "no names"),
    "a list": (".pth", lambda path: torch.save([torch.zeros(2)], path), "no state dict"),
    "a tensor": (".pth", lambda path: torch.save(torch.zeros(2), path), "no state dict"),
    "dicts in dicts": (".pth", lambda path: torch.save({"a": {"model": {"b": torch.zeros(1)}}}, path), "no state dict"),
    "depth": (".pth", lambda path: path.write_bytes(nested(100_000)), "not a readable|refused"),
    "a zip bomb": (".pth", bomb, "claims to hold 16,777,216 bytes"),
    "a zip of another kind": (".pth", lambda path: zipfile.ZipFile(path, "w").close(), "not a readable|refused"),
    "text": (".pth", lambda path: path.write_text("hello"), r"give a \.safetensors or a torch\.save of tensors"),
    "a tar": (".tar", lambda path: tarfile.open(path, "w").close(), "not a readable|refused"),
    "a long name": (".pth", lambda path: torch.save({"x" * 10**6: torch.zeros(1)}, path), "does not fit"),
    "a name of two lines": (".pth", lambda path: torch.save({"a\nb\x1b[1m": torch.zeros(1)}, path), "does not fit"),
    "an endless header": (".safetensors", lambda path: path.write_bytes(b"\xff" * 64), "not a readable"),
    "a cut header": (".safetensors", lambda path: path.write_bytes(struct.pack("<Q", 999) + b"{"), "not a readable"),
    "a header of another shape": (
        ".safetensors", lambda path: path.write_bytes(struct.pack("<Q", 8) + b"[1,2,3] "), "not a readable"
    ),
    "another detector's": (
        ".safetensors", lambda path: save_file({"a": torch.zeros(1)}, path, {"detector": "b" * 10**5}), "holds bbb"
    ),
    "a backbone elsewhere": (
        ".safetensors", lambda path: save_file({"a": torch.zeros(1)}, path, {"backbone": "../../x"}), "no name of a"
    ),
    "an unknown width": (
        ".safetensors", lambda path: save_file({"a": torch.zeros(1)}, path, {"width": "w" * 10**5}), "no detector width"
    ),
}  # fmt: skip


def test_the_training_that_is_not_there_is_the_one_to_be_made():
    with pytest.raises(UsageError, match="`quantdetect train mini npr-s9`"):
        detectors.load("npr", "mini-s9")


@pytest.mark.parametrize("kind", STRANGE)
def test_strange_weights_files_are_refused_in_a_line(kind, tmp_path):
    suffix, write, said = STRANGE[kind]
    path = tmp_path / f"npr{suffix}"
    write(path)
    with pytest.raises(UsageError, match=said) as raised:
        detectors.load("npr", path)
    message = str(raised.value)
    assert len(message) < 2500 and message.replace(str(path), "").isprintable()


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_cut_weights_are_refused_in_a_line(suffix, tmp_path):
    whole, path = tmp_path / f"whole{suffix}", tmp_path / f"npr{suffix}"
    state = {"fc1.weight": torch.zeros(1, 512), "fc1.bias": torch.zeros(1)}
    save_file(state, whole) if suffix == ".safetensors" else torch.save(state, whole)
    content = whole.read_bytes()
    for kept in (1, 9, len(content) // 2, len(content) - 1):
        path.write_bytes(content[:kept])
        with pytest.raises(UsageError, match="not a readable|refused") as raised:
            detectors.load("npr", path)
        assert "\n" not in str(raised.value)


def test_a_logit_that_is_no_number_is_a_failure_that_names_image_and_detector(tmp_path):
    """Every weight is finite here, only their product is not."""
    torch.manual_seed(3)
    state = shaken(detectors.build("npr", "mini")).state_dict()
    save_file(state | {"fc1.weight": state["fc1.weight"].sign() * 3e38}, tmp_path / "npr.safetensors")
    detector = detectors.load("npr", tmp_path / "npr.safetensors")
    with pytest.raises(NotFinite, match=r"npr \(weights npr\): the logit of image 0 is (nan|inf|-inf)") as raised:
        detector.score(pictures([(64, 64), (80, 64)]))
    assert raised.value.exit_code == 1 and raised.value.place == 0


def test_a_run_names_the_image_whose_logit_is_no_number(tmp_path, monkeypatch):
    mini = schema.load("mini")
    settings = {"sd15": mini.generators["sd15"].model_copy(update={"steps": 1})}
    changes = {"generators": settings, "precisions": ["fp32"], "detectors": ["npr"], "protocols": ["plain"]}
    tiny = mini.model_copy(update={**changes, "further": {}, "arms": {}})

    def broken(network, images, ready, device):
        return np.float32([1, np.inf][: len(images)])

    monkeypatch.setattr(base, "score", broken)
    with pytest.raises(Failure, match=r"sd15/fp32/0001.png: npr \(weights mini\): the logit of image 1 is inf"):
        make.run(tiny, tmp_path, images=2, progress=False)
    assert not list(tmp_path.glob("**/*.parquet"))


def test_the_contract_is_kept_by_all_and_a_network_that_breaks_it_is_told():
    for name in detectors.DETECTORS:
        network = detectors.build(name, "mini")
        assert isinstance(network, contract.Network)
        assert isinstance(network, contract.Tiled) == hasattr(network, "field")
        assert isinstance(network, contract.Frozen) == (detectors.DETECTORS[name].kind == "frozen backbone")
    with pytest.raises(Failure, match="mine: its build gives a dict"):
        contract.hold("mine", {})
    broken = nn.Linear(1, 1)
    broken.field = lambda: (8, 9)
    with pytest.raises(Failure, match="mine: its network has field without maps"):
        contract.hold("mine", broken)


@pytest.mark.parametrize("name", [name for name in NAMES if name != "clip_d"])
def test_a_tiled_networks_logit_is_its_head_on_the_mean_of_its_maps(name):
    network, x = detectors.build(name, "mini").eval(), torch.randn(2, 3, 61, 70)
    stride, _ = network.field()
    with torch.inference_mode():
        maps = network.maps(x)
        np.testing.assert_allclose(network.head(maps.mean((2, 3))), network(x), atol=1e-5)
    assert 512 % stride == 0
    even = (60, 70) if name == "npr" else (61, 70)  # its residual takes even sides
    assert tuple(maps.shape[2:]) == tuple(-(-side // stride) for side in even)


def test_a_seed_draws_the_trunk_in_torchvision_s_order():
    """Trainings begin with the weights of a seed: drawn in another order, none of the shipped ones came out again."""
    theirs = [name for name in torchvision.models.resnet50(weights=None).state_dict() if not name.startswith("fc.")]
    assert list(Trunk().state_dict()) == theirs

"""The four detectors behind one interface: images in, one logit per image out, above 0 means fake.

from helpers import detectors logits = detectors.load("npr").score(images)
"""

from helpers.detectors.detector import MODULES, Detector, NotFinite, build, load, weights_files, weights_path

__all__ = ["MODULES", "Detector", "NotFinite", "build", "load", "weights_files", "weights_path"]

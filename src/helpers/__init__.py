"""Do deepfake detectors still see the images of a quantized generator? The paper's package."""

__all__ = ["__version__"]

__version__ = "0.1.0"

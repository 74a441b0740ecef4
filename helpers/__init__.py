"""Nuclei segmentation in H&E tiles with a U-Net over EfficientNet-B0: the package behind the notebook.

`helpers.predict(image, um_per_px=0.25)` finds the nuclei of any RGB image with the shipped model,
`helpers.examine(image, um_per_px=0.25)` says how sure it is and what it looked at, and `helpers.load_model()` gives
that model.
"""

import importlib

__version__ = "0.1.0"
# Imported when first asked for: preparing data holds no PyTorch in memory.
_EXPORTS = {
    "examine": "helpers.explanation.examine",
    "load_model": "helpers.inference.trained_model",
    "predict": "helpers.inference.predict",
    "predict_files": "helpers.inference.predict_files",
}
__all__ = ["examine", "load_model", "predict", "predict_files"]  # noqa: F822, they come from __getattr__


def __getattr__(name: str) -> object:
    """Give one of the calls."""
    if name in _EXPORTS:
        return getattr(importlib.import_module(_EXPORTS[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

"""Nuclei segmentation in H&E tiles with a U-Net over EfficientNet-B0: the package behind the notebook."""

__version__ = "0.1.0"

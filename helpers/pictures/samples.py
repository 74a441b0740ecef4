"""From the samples that a file holds to 8-bit RGB: where that is right and safe; what would be a guess is refused."""

import numpy as np

from helpers.errors import InputError, check_unit_range

DEPTHS = (8, 10, 12, 14, 16)  # bits that cameras and scanners give
# A label image is flat, a photograph of tissue never: noise makes most neighbours differ, whatever the focus.
FLAT = 0.9  # share of neighbours that are equal
GREY = "one channel, which shows no stain: taken as grey, and the model knows H&E alone, so do not trust the result"


def find_white(name: str, samples: np.ndarray, bits: int | None = None) -> tuple[float, str]:
    """Tell which sample is white, from the whole picture or a small copy of it.

    16 bits may hold 10, 12 or 14 of a camera. Where the file does not tell how many, the brightest pixel does: in
    bright field that is glass or pale tissue, in the upper half of the range. A brightest pixel in the lower half of
    every such range fits none, and is refused.

    Args:
        name: names the file in messages.
        samples: `(h, w, channels)`.
        bits: how many bits count, where the file tells it.

    Returns:
        the sample that becomes 255, and a sentence for the warning, "" for 8 bits.

    Raises:
        InputError: another type, fractions beyond 0 to 1, or 16 bits of an unknown range.
    """
    if samples.dtype == np.uint8:
        return 255, ""
    if samples.dtype != np.uint16 and samples.dtype.kind != "f":
        raise InputError(f"{name}: expected 8 or 16 bits a sample, found {samples.dtype}; save it with 8 bits")
    lowest, highest = float(samples.min()), float(samples.max())
    if samples.dtype.kind == "f":
        check_unit_range(lowest, highest, name, "save it with 8 bits")
        return 1, "fractions from 0 to 1: taken times 255"
    fitting = [depth for depth in DEPTHS if 2 ** (depth - 1) <= highest < 2**depth]
    if highest == 0 or not (bits or fitting):
        raise InputError(
            f"{name}: expected 16-bit samples whose brightest lies in the upper half of {', '.join(map(str, DEPTHS))} "
            f"bits, as glass does, found {highest:.0f}; save it with 8 bits"
        )
    white = 2 ** (bits or fitting[0]) - 1
    return white, f"16-bit samples: {white} is taken as white ({'as the file says' if bits else 'by the brightest'})"


def to_eight_bits(samples: np.ndarray, white: float) -> np.ndarray:
    """Scale samples from 0 to `white` to uint8.

    >>> to_eight_bits(np.array([0, 2048, 4095, 9999], np.uint16), 4095).tolist()
    [0, 128, 255, 255]
    """
    if samples.dtype == np.uint8:
        return samples
    return np.clip(samples.astype(np.float32) * (255 / white) + 0.5, 0, 255).astype(np.uint8)


def to_rgb(samples: np.ndarray) -> np.ndarray:
    """Repeat grey `(h, w, 1)` or grey with alpha `(h, w, 2)` as RGB or RGBA; others stay."""
    return samples if samples.shape[2] > 2 else samples[..., [0, 0, 0, *range(1, samples.shape[2])]]


def refuse_labels(name: str, channel: np.ndarray) -> None:
    """Refuse one channel `(h, w)` of ids, of a mask, or of more than 8 bits, with an InputError."""
    if channel.dtype != np.uint8:
        raise InputError(
            f"{name}: expected a colour picture of H&E, found one channel of {channel.dtype}, as label images and "
            "fluorescence have; give the picture itself"
        )
    inner = ((channel > 0) & (channel < 255))[:, 1:]
    equal = (channel[:, 1:] == channel[:, :-1])[inner]
    two = len(np.unique(channel)) == 2
    if (two and channel.size > 2) or (equal.size >= 64 and equal.mean() > FLAT and len(np.unique(channel)) > 1):
        raise InputError(
            f"{name}: expected a colour picture of H&E, found one channel of flat areas, as masks and label images "
            "have; give the picture itself"
        )

"""From any picture of H&E tissue to its nuclei: the one call a stranger needs, by the one road that scores take too."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from helpers.errors import InputError
from helpers.inference.blocks import Seams
from helpers.inference.engines import work_through
from helpers.inference.search import Search
from helpers.inference.symmetries import SYMMETRIES
from helpers.inference.tiles import PLAIN
from helpers.inference.trained_model import TrainedModel, shipped_model
from helpers.pictures.checks import check_array, warn_about
from helpers.pictures.picture import ArrayPicture
from helpers.pictures.reading import open_picture
from helpers.pictures.scale import resolve_scale
from helpers.pictures.survey import survey

LARGEST = 10**8  # pixels in memory; the arrays of a larger picture belong into files


@dataclass(frozen=True)
class Segmentation:
    """Where nuclei are, and each of them.

    Attributes:
        probability: `(H, W)` float32, probability of nucleus, 0 to 1, at the model's temperature.
        mask: `(H, W)` bool, where its logit reaches the model's threshold.
        instances: `(H, W)` int32, 0 where no nucleus is, 1 and up for each nucleus. Against the mask its holes are
            filled, and specks smaller than a nucleus are left out.
        nuclei: `(n,)` structured array, a row for each nucleus with the fields of `instances.FIELDS`: its centroid in
            pixels, area in um2, kind, how sure that is, and bounding box. `pandas.DataFrame(nuclei)` shows it.
        um_per_px: the scale that was used, micrometres a pixel.
        tissue_mm2: area of the tissue in mm2, which densities are over.
    """

    probability: np.ndarray
    mask: np.ndarray
    instances: np.ndarray
    nuclei: np.ndarray
    um_per_px: float
    tissue_mm2: float


def predict(
    source: np.ndarray | Path | str,
    um_per_px: float | str | None = None,
    model: TrainedModel | None = None,
    device: str = "cpu",
    flips_and_turns: bool = False,
) -> Segmentation:
    """Find the nuclei of a picture: where they are, each by itself, and of which kind.

    `predict_files` writes the same into files, of whole slides too, with no more memory than a part of one takes.

    Where the image is transparent or black to its border there is no tissue and no nucleus; it warns of that, and of
    colours that are not those of H&E, or with red and blue swapped.

    Args:
        source: `(H, W, 3)` uint8, RGB, or `(H, W, 4)` RGBA, which is laid on white; or the path of a picture or slide
            that `open_picture` reads.
        um_per_px: the image's scale in micrometres a pixel: 0.25 at 40x, 0.5 at 20x; a slide's text will do. None for
            what the file says; where it says nothing, 0.25 is assumed, with a warning. A wrong one costs much.
        model: as from `load_model`; None for the shipped one.
        device: where to compute; a model given stays on its own.
        flips_and_turns: average over the eight symmetries of the square: slower by eight times, a little better.

    Returns:
        all at the size of the picture.

    Raises:
        InputError: not such an image or file, a scale outside 0.1 to 1 um/px, or more than 100 million pixels.
    """
    model = choose_model(model, device, fastest=True)
    image, um_per_px = read_source(source, um_per_px)
    return segment(model, image, um_per_px, device, SYMMETRIES if flips_and_turns else PLAIN)


def segment(
    model: TrainedModel,
    image: np.ndarray,
    um_per_px: float,
    device: str = "cpu",
    symmetries: tuple[tuple[int, bool], ...] = PLAIN,
) -> Segmentation:
    """Do what `predict` does, with an image and a scale that are known to fit.

    Args:
        model: the network and its scale; it stays on its own device.
        image: `(H, W, 3)` uint8, RGB, or `(H, W, 4)` RGBA.
        um_per_px: the image's scale in micrometres a pixel.
        device: where to compute.
        symmetries: as in `tiles.predict_maps`.
    """
    picture, size = ArrayPicture(image), image.shape[:2]
    search = Search(model, um_per_px, survey(picture, um_per_px), device, symmetries)
    seams, tables = Seams(um_per_px), []
    probability, mask, instances = (np.zeros(size, dtype) for dtype in (np.float32, bool, np.int32))
    for found in work_through(lambda block: search.find(picture, block), search.blocks):
        before = seams.count
        found = seams.settle(found)
        core, seen = (np.s_[box.top : box.bottom, box.left : box.right] for box in (found.block.core, found.block.seen))
        probability[core], mask[core] = found.probability, found.mask
        np.copyto(instances[seen], found.labels + np.int32(before), where=found.labels > 0)
        found.nuclei["id"] += before
        tables.append(found.nuclei)
    return Segmentation(probability, mask, instances, np.concatenate(tables), um_per_px, search.tissue.mm2)


def predict_logits(
    model: TrainedModel,
    image: np.ndarray,
    um_per_px: float,
    device: str = "cpu",
    symmetries: tuple[tuple[int, bool], ...] = PLAIN,
) -> np.ndarray:
    """Predict the logit of nucleus for every pixel of an image of any size; arguments as of `segment`.

    The network's own logits come out, not divided by its temperature: `logits >= model.threshold_logit` is the mask,
    `expit(logits / model.temperature)` the probability.

    Returns:
        `(H, W)` float32; minus infinity where there is no tissue (`checks.find_outside`).
    """
    picture, logits = ArrayPicture(image), np.zeros(image.shape[:2], np.float32)
    search = Search(model, um_per_px, survey(picture, um_per_px), device, symmetries)
    results = work_through(lambda block: search.find_logits(picture, block), search.blocks)
    for block, of_block in zip(search.blocks, results, strict=True):
        logits[block.core.top : block.core.bottom, block.core.left : block.core.right] = of_block
    return logits


def choose_model(model: TrainedModel | None, device: str, fastest: bool = False) -> TrainedModel:
    """Give the model, or for None the shipped one, as `shipped_model` does; an InputError for anything else."""
    model = shipped_model(str(device), fastest) if model is None else model
    if not isinstance(model, TrainedModel):
        raise InputError(f"model: expected what `helpers.load_model(PATH)` gives, found {type(model).__name__}")
    return model


def read_source(
    source: np.ndarray | Path | str, um_per_px: float | str | None, stacklevel: int = 3
) -> tuple[np.ndarray, float]:
    """Read a picture into memory, with its scale; arguments and errors as of `predict`.

    Returns:
        `(H, W, 3)` or `(H, W, 4)` uint8, and its scale in micrometres a pixel.
    """
    with open_picture(source) if isinstance(source, str | Path) else ArrayPicture(check_array(source)) as picture:
        um_per_px = resolve_scale(picture, um_per_px)
        if picture.height * picture.width > LARGEST:
            raise InputError(
                f"{picture.name}: expected up to {LARGEST:,} pixels, found {picture.height:,} x {picture.width:,}; "
                "its arrays would fill the memory: give it to `helpers.predict_files` or `python -m helpers predict`"
            )
        image = picture.read(0, 0, picture.height, picture.width)
    warn_about(image, picture.name, stacklevel + 1)
    return image, um_per_px

"""The nuclei of an image in memory, or of a block of any picture, by the one road that predicting and scoring take."""

from dataclasses import dataclass, field

import numpy as np
from scipy.special import expit

from helpers.inference.blocks import Block, Box, Found, Seams, cut_blocks, keep_own, shift
from helpers.inference.engines import Engine
from helpers.inference.instances import list_nuclei, part_nuclei
from helpers.inference.tiles import PLAIN, no_maps, nuclei_logits, predict_maps, resize
from helpers.inference.trained_model import TrainedModel
from helpers.pictures.picture import ArrayPicture, Picture
from helpers.pictures.survey import Tissue, survey


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


@dataclass(frozen=True)
class Search:
    """How nuclei are looked for.

    Attributes:
        model: the network and what must be known to use it.
        um_per_px: the picture's scale, micrometres a pixel.
        tissue: where it is worth looking.
        device: where to compute.
        symmetries: over which each tile is averaged, as in `tiles.predict_maps`.
    """

    model: TrainedModel
    um_per_px: float
    tissue: Tissue
    device: str = "cpu"
    symmetries: tuple[tuple[int, bool], ...] = PLAIN
    blocks: list[Block] = field(init=False)

    def __post_init__(self) -> None:
        zoom = self.um_per_px / self.model.um_per_px
        object.__setattr__(self, "blocks", cut_blocks(*self.tissue.size, zoom))

    def predict(self, picture: Picture, block: Block) -> tuple[dict[str, np.ndarray], np.ndarray]:
        """Predict what a block sees: maps and what is outside, as `tiles.predict_maps` gives them."""
        seen = block.seen

        def holds_tissue(top: int, left: int, bottom: int, right: int) -> bool:
            place = Box(top + seen.top, left + seen.left, bottom + seen.top, right + seen.left).shared(seen)
            return place is not None and self.tissue.reaches(*place)

        if not self.tissue.reaches(*seen):
            return no_maps(), np.zeros(seen.shape, bool)
        image = picture.read(seen.top, seen.left, *seen.shape)
        return predict_maps(self.model, image, self.um_per_px, self.device, self.symmetries, holds_tissue)

    def find(self, picture: Picture, block: Block) -> Found:
        """Find the nuclei of a block."""
        model, own = self.model, block.core.within(block.seen)
        maps, outside = self.predict(picture, block)
        logits = nuclei_logits(maps, outside)
        mask = logits >= model.threshold_logit
        probability = expit(np.divide(logits, model.temperature, out=logits), out=logits)
        interior = resize(maps.pop("interior")[0], *outside.shape) if "interior" in maps else None
        labels = part_nuclei(mask, interior, self.um_per_px)
        del interior  # what is not needed any more makes room
        kinds = getattr(model.network, "kinds", ())
        nuclei = shift(list_nuclei(labels, probability, maps.get("kinds"), kinds, self.um_per_px), block.seen)
        return keep_own(Found(block, labels, nuclei, probability[own], mask[own]), self.um_per_px)

    def find_logits(self, picture: Picture, block: Block) -> np.ndarray:
        """Predict the logit of nucleus of a block's core, as `predict_logits` gives it."""
        return nuclei_logits(*self.predict(picture, block))[block.core.within(block.seen)]


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
    for found in Engine().work_through(lambda block: search.find(picture, block), search.blocks):
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
        `(H, W)` float32; minus infinity where there is no tissue (`outside.find_outside`).
    """
    picture, logits = ArrayPicture(image), np.zeros(image.shape[:2], np.float32)
    search = Search(model, um_per_px, survey(picture, um_per_px), device, symmetries)
    results = Engine().work_through(lambda block: search.find_logits(picture, block), search.blocks)
    for block, of_block in zip(search.blocks, results, strict=True):
        logits[block.core.top : block.core.bottom, block.core.left : block.core.right] = of_block
    return logits

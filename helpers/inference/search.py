"""What is looked for in a picture, and in one of its blocks: the work that is done again and again, by any engine."""

from dataclasses import dataclass, field

import numpy as np
from scipy.special import expit

from helpers.inference.blocks import Block, Box, Found, cut_blocks, keep_own, shift
from helpers.inference.instances import list_nuclei, part_nuclei
from helpers.inference.tiles import NOTHING, PLAIN, nuclei_logits, predict_maps, resize
from helpers.inference.trained_model import TrainedModel
from helpers.pictures.picture import Picture
from helpers.pictures.survey import Tissue


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
            return {"nuclei": np.full((1, 1, 1), NOTHING, np.float32)}, np.zeros(seen.shape, bool)
        image = picture.read(seen.top, seen.left, *seen.shape)
        return predict_maps(self.model, image, self.um_per_px, self.device, self.symmetries, holds_tissue)

    def find(self, picture: Picture, block: Block) -> Found:
        """Find the nuclei of a block."""
        model, own = self.model, block.core.within(block.seen)
        maps, outside = self.predict(picture, block)
        logits = nuclei_logits(maps, outside)
        mask, probability = logits >= model.threshold_logit, expit(logits / model.temperature)
        interior = resize(maps["interior"][0], *outside.shape) if "interior" in maps else None
        labels = part_nuclei(mask, interior, self.um_per_px)
        kinds = getattr(model.network, "kinds", ())
        nuclei = shift(list_nuclei(labels, probability, maps.get("kinds"), kinds, self.um_per_px), block.seen)
        return keep_own(Found(block, labels, nuclei, probability[own], mask[own]))

    def find_logits(self, picture: Picture, block: Block) -> np.ndarray:
        """Predict the logit of nucleus of a block's core, as `predict.predict_logits` gives it."""
        return nuclei_logits(*self.predict(picture, block))[block.core.within(block.seen)]

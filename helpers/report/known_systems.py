"""What others reached on the test sets used here, as their papers give it.

Reference:
    Hörst et al. 2024, CellViT, doi:10.1016/j.media.2024.103143.
    Graham et al. 2019, HoVer-Net, doi:10.1016/j.media.2019.101563.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class KnownSystem:
    """A published result.

    Attributes:
        name: of the system.
        parameters: in millions, or None where its paper does not say.
        training: what it was trained on, and from which start.
        dice: test set to Dice, as text: one number or a range.
        source: where the numbers were read.
    """

    name: str
    parameters: float | None
    training: str
    dice: dict[str, str]
    source: str


KNOWN_SYSTEMS = (
    KnownSystem(
        "CellViT-SAM-H, 40x",
        700,
        "PanNuke, not these sets; pre-trained",
        {"monuseg-test": "0.832 to 0.835"},
        "Hörst et al. 2024",
    ),
    KnownSystem(
        "CellViT-SAM-H, 20x",
        700,
        "PanNuke, not these sets; pre-trained",
        {"monuseg-test": "0.826 to 0.830"},
        "Hörst et al. 2024",
    ),
    KnownSystem(
        "HoVer-Net",
        None,
        "CoNSeP; ImageNet weights",
        {"consep-test": "0.853"},
        "Graham et al. 2019",
    ),
)

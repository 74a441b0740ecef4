"""What others print: the course report, and known systems on the test sets used here.

Reference:
    "Cancer Nuclei Analysis with EfficientNet", CSC173, December 2025: the course report.
    Hörst et al. 2024, CellViT, doi:10.1016/j.media.2024.103143.
    Graham et al. 2019, HoVer-Net, doi:10.1016/j.media.2019.101563.
"""

from dataclasses import dataclass

# Channels and scale of each stage, as its tables give them.
STAGES = {
    "encoder 0": "24, H/2",
    "encoder 1": "24, H/2",
    "encoder 2": "40, H/4",
    "encoder 3": "112, H/8",
    "encoder 4": "192, H/16",
    "encoder 5": "1280, H/32",
    "decoder 4": "192, H/16",
    "decoder 3": "112, H/8",
    "decoder 2": "40, H/4",
    "decoder 1": "24, H/2",
    "decoder 0": "16, H",
    "output": "1, H",
}
PARAMETERS = 19_480_839
BACKGROUND_TO_NUCLEI = 5  # pixels, "about 5 : 1"
DICE_GOAL = 0.80

# Of its fine-tuned model; by which convention Dice and IoU were measured it does not say.
RESULTS = {
    "best_epoch": 4,
    "best_dice": 0.6791,
    "best_iou": 0.5913,
    "final_dice": 0.6213,
    "final_iou": 0.5825,
    "background_accuracy": 0.6398,
    "nuclei_accuracy": 0.6809,
    "accuracy": 0.6603,
    "loss": 1.4251,
    "inference_ms": 15,
}


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
        "Hörst et al. 2024, outlines filled by scikit-image",
    ),
    KnownSystem(
        "CellViT-SAM-H, 20x",
        700,
        "PanNuke, not these sets; pre-trained",
        {"monuseg-test": "0.826 to 0.830"},
        "Hörst et al. 2024, outlines filled by scikit-image",
    ),
    KnownSystem(
        "HoVer-Net",
        None,
        "CoNSeP; ImageNet weights",
        {"consep-test": "0.853"},
        "Graham et al. 2019",
    ),
)

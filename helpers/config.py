"""What is fixed: the names of the data set, the numbers of the preprocessing, the recipes of training."""

import math
from dataclasses import dataclass

from helpers.errors import InputError

# PanNuke's mask channels 0-4, in its order; channel 5 is the background (its README counts from one and calls it 6).
CLASS_NAMES = ("Neoplastic", "Inflammatory", "Connective", "Dead", "Epithelial")
BACKGROUND_CHANNEL = 5
TILE_SIZE = 256  # pixels; PanNuke's tiles and those of every fold laid out like it
TILE_UM_PER_PX = 0.25  # 40x
SCALES = (0.1, 1.0)  # um/px of a picture; beyond, nuclei are blurs of a few pixels, or blown up from nothing

# PanNuke's official protocol: split number to the folds that train, validate and test (Gamper et al. 2020).
OFFICIAL_SPLITS = {1: (1, 2, 3), 2: (2, 1, 3), 3: (3, 2, 1)}

# torchvision's ImageNet statistics, for RGB in [0, 1].
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)

LABEL_RULES = ("nearest", "majority")  # how labels may be shrunk, see `preprocessing.shrink_class_maps`
# What training tiles may go through, see `augmentation.build_augmentation`.
AUGMENTATIONS = ("flips", "turns", "scale", "elastic", "stain", "colour", "blur", "noise")
# What a network may say of each pixel: is it nucleus, of which kind, and does it lie inside one, off its outline.
OUTPUTS = ("nuclei", "kinds", "interior")
THRESHOLD = 0.5  # probability from which a pixel counts as nucleus
LOGIT_THRESHOLD = math.log(THRESHOLD / (1 - THRESHOLD))  # the same, as a logit
SCHEDULES = ("plateau", "cosine")
CLASS_WEIGHTS = ("balanced", "equal")
WARMUP_EPOCHS = 3

# The project's own goals for the Dice on a test set, by recipe and tile size, beside the report's 0.80. They were set
# before any run of `strong`, with an earlier network's scores on these sets in view; for CoNSeP at 128 there is none.
GOALS = {
    ("strong", 256): {"monuseg-test": 0.83, "consep-test": 0.82},
    ("strong", 128): {"monuseg-test": 0.81},
    ("nuclei", 256): {"monuseg-test": 0.845, "consep-test": 0.845},
}
# Sets from elsewhere: no picture of them is ever trained on, and they choose nothing.
EXTERNAL_SETS = ("pannuke-15", "tnbc", "monusac")
# Of these sets some kinds of nuclei alone are marked: what is found beside them is no mistake, so only nuclei that were
# found are judged.
PARTLY_ANNOTATED = ("monusac",)


@dataclass(frozen=True)
class Recipe:
    """Everything that decides how a network is trained. Two runs with equal recipes and data are the same run."""

    name: str
    image_size: int = 128  # pixels; the report halves PanNuke's tiles
    outputs: tuple[str, ...] = ("nuclei",)  # of `OUTPUTS`; the report's network says where nuclei are, no more
    network: str = "unet"  # of `comparisons.NETWORK_NAMES`: the report's, a change of it, or somebody else's to compare
    labels: str = "nearest"  # "nearest" as the report does, or "majority", which keeps masks and images aligned
    epochs: int = 20
    batch_size: int = 4  # fits the report's 8 GB card
    accumulation_steps: int = 8  # 4 x 8 = 32 images an optimiser step
    augmentation: tuple[str, ...] = ("flips",)
    class_weights: str = "balanced"  # or "equal"
    learning_rate: float = 1e-4
    weight_decay: float = 1e-4
    bce_weight: float = 1.0
    dice_weight: float = 1.0
    kinds_weight: float = 0.5  # of the loss of kinds, beside that of nuclei
    interior_weight: float = 0.5  # of the loss of interiors
    boundary_weight: float = 0.0  # above 0: pixels on the outline of nuclei count this much more in the cross-entropy
    dropout: float = 0.2
    max_grad_norm: float = 1.0  # of the report's "gradient clipping" no number is known; 1.0 is the usual one
    schedule: str = "plateau"  # or "cosine": a rise over `WARMUP_EPOCHS`, then half a cosine down to nothing
    plateau_factor: float = 0.5  # the learning rate is halved ...
    plateau_patience: int = 5  # ... after this many epochs without a lower validation loss
    averaging_decay: float = 0.0  # above 0: judge and keep an exponential moving average of the weights
    early_stopping_patience: int = 5  # epochs without a higher validation Dice
    stop_early: bool = True  # False: run all epochs, and only record where early stopping would have ended
    random_crops: bool = False  # windows anywhere in the source images, in place of the tiles they were cut into
    shuffled_masks: int = 0  # above 0, a control: it learns so many training tiles by heart, each with another's mask
    pretrained: bool = True  # ImageNet weights for the encoder, where they can be had
    seed: int = 0  # of the start, the order of the tiles and their augmentation
    split_seed: int = 0  # of the split, apart from the other: runs of several seeds are judged on the same tiles

    def __post_init__(self) -> None:
        object.__setattr__(self, "outputs", tuple(self.outputs))  # which JSON makes a list
        once = len(set(self.outputs)) == len(self.outputs) and set(self.outputs) <= set(OUTPUTS)
        if not once or self.outputs[:1] != OUTPUTS[:1]:
            found = ", ".join(self.outputs) or "none"
            raise InputError(
                f"recipe {self.name!r}: outputs {found}, expected nuclei first, then any of {', '.join(OUTPUTS)}"
            )
        for name, known in (("schedule", SCHEDULES), ("class_weights", CLASS_WEIGHTS)):
            if (value := getattr(self, name)) not in known:
                raise InputError(f"recipe {self.name!r}: {name} {value!r}, expected {' or '.join(known)}")


RECIPES = {
    # The course report's, unchanged.
    "report": Recipe("report"),
    # For the sample tiles of the notebook's quick mode: a random start that must learn in a minute on two cores.
    "quick": Recipe(
        "quick",
        epochs=8,
        batch_size=8,
        accumulation_steps=1,
        class_weights="equal",
        learning_rate=3e-3,
        schedule="cosine",
        pretrained=False,
        stop_early=False,
    ),
    # For a random start; what each of its steps is worth on the validation groups, the ablation tells.
    "strong": Recipe(
        "strong",
        labels="majority",
        epochs=40,
        batch_size=16,
        accumulation_steps=1,
        augmentation=AUGMENTATIONS,
        class_weights="equal",
        learning_rate=2e-3,
        weight_decay=2e-2,
        schedule="cosine",
        averaging_decay=0.995,
        stop_early=False,
    ),
    # Kinds and single nuclei beside the mask, from ImageNet's weights: what trains the shipped model.
    "nuclei": Recipe(
        "nuclei",
        image_size=256,
        outputs=OUTPUTS,
        network="lite0-detail",
        labels="majority",
        epochs=160,
        batch_size=32,
        accumulation_steps=1,
        augmentation=AUGMENTATIONS,
        class_weights="equal",
        learning_rate=1.5e-3,
        weight_decay=2e-2,
        schedule="cosine",
        averaging_decay=0.998,
        stop_early=False,
        random_crops=True,
    ),
    # The same for the sample tiles of the notebook's quick mode.
    "quick-nuclei": Recipe(
        "quick-nuclei",
        outputs=OUTPUTS,
        network="lite0-detail",
        labels="majority",
        epochs=5,
        batch_size=8,
        accumulation_steps=1,
        class_weights="equal",
        learning_rate=2e-3,
        schedule="cosine",
        averaging_decay=0.9,
        stop_early=False,
    ),
}

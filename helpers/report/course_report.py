"""What the course report prints: "Cancer Nuclei Analysis with EfficientNet", CSC173, December 2025."""

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

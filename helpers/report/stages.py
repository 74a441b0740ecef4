"""The network's stages as they are, beside those that the course report prints."""

import torch

from helpers.explanation.grad_cam import captured, evaluating
from helpers.model import EfficientNetSegmentation, count_parameters
from helpers.report import references

ENCODER_PARAMETERS = (
    4_007_548  # EfficientNet-B0 without its classifier (Tan & Le 2019, as efficientnet-pytorch builds it)
)


def stage_table(model: EfficientNetSegmentation) -> list[dict[str, str]]:
    """Measure channels and scale of every stage by sending one image through the network.

    Args:
        model: the network; it is left as it was found.

    Returns:
        a row for each stage: `stage`, `measured` and `report`, both as "channels, scale".
    """
    encoder = model.encoder
    modules = {"encoder 0": encoder._bn0}
    modules |= {f"encoder {level}": encoder._blocks[block] for level, block in enumerate(model.skip_blocks, 1)}
    modules |= {"encoder 5": model.dropout}
    modules |= {f"decoder {4 - index}": block for index, block in enumerate(model.decoder)} | {"output": model.head}
    size = 64
    image = torch.zeros(1, model.in_channels, size, size, device=next(model.parameters()).device)
    with torch.inference_mode(), evaluating(model), captured(*modules.values()) as outputs:
        model(image)
    return [
        {
            "stage": stage,
            "measured": f"{output.shape[1]}, {_scale(size // output.shape[2])}",
            "report": references.STAGES[stage],
        }
        for stage, output in zip(modules, outputs, strict=True)
    ]


def parameter_table(model: EfficientNetSegmentation) -> list[dict[str, object]]:
    """Count the parameters of encoder, decoder and whole, beside the published numbers.

    Returns:
        rows of `part`, `parameters` (int), `published` (int or None), `match` (bool or None).
    """
    encoder, whole = count_parameters(model.encoder), count_parameters(model)
    drawn = ENCODER_PARAMETERS + _drawn_decoder_parameters()
    rows = (
        ("encoder (EfficientNet-B0, no classifier)", encoder, ENCODER_PARAMETERS),
        ("decoder and head", whole - encoder, None),
        ("whole network", whole, references.PARAMETERS),
        ("the network that the report's table draws", drawn, references.PARAMETERS),
    )
    return [
        {
            "part": part,
            "parameters": found,
            "published": published,
            "match": None if published is None else found == published,
        }
        for part, found, published in rows
    ]


def _drawn_decoder_parameters() -> int:
    """Count the decoder of the report's table: two 3 x 3 convolutions with batch norm a level, then one logit."""
    channels = {stage: int(text.split(",")[0]) for stage, text in references.STAGES.items()}
    total, below = 0, channels["encoder 5"]
    for level in range(4, -1, -1):
        out = channels[f"decoder {level}"]
        skip = channels[f"encoder {level}"] if level else 0
        total += 9 * (below + skip) * out + 9 * out * out + 4 * out
        below = out
    return total + below + 1


def _scale(divisor: int) -> str:
    return "H" if divisor == 1 else f"H/{divisor}"

"""The model card that travels with the shipped weights, after Mitchell et al. 2019, doi:10.1145/3287560.3287596."""

from dataclasses import replace
from pathlib import Path

from helpers.config import RECIPES, THRESHOLD, TILE_SIZE, TILE_UM_PER_PX
from helpers.report.comparison import (
    FILLED,
    comparison_table,
    describe_external,
    describe_fill_rules,
    describe_measure,
    nuclei_entries,
)
from helpers.report.explanation_tables import calibration_table, describe_maps, describe_uncertainty, source_table
from helpers.report.run_tables import nuclei_part
from helpers.report.tables import markdown_table
from helpers.report.words import describe_masks, describe_stages, describe_training
from helpers.training.control import control_recipe
from helpers.training.results import Reported, Results

CARD = "MODEL_CARD.md"
# Fields of a recipe that `python -m helpers train` takes as options, and as flags where they have this value.
TRAINING_OPTIONS = (
    *("network", "boundary_weight", "image_size", "epochs", "batch_size", "learning_rate", "seed", "split_seed"),
    "shuffled_masks",
)
TRAINING_FLAGS = {
    "stop_early": (False, "--no-early-stopping"),
    "pretrained": (False, "--random-start"),
}
REPORTED_DATA = "nuinsseg-monuseg-consep"  # what `Dataset/README.md` tells of
REPORTED_SOURCES = """NuInsSeg (Mahbod et al. 2024, CC BY 4.0), the training images of MoNuSeg 2018 (Kumar et al. 2017,
2020, CC BY-NC-SA 4.0) and of CoNSeP (Graham et al. 2019, Apache-2.0), human and mouse, most of them at 40x:"""
REPORTED_KINDS = """
- It learnt kinds from CoNSeP alone: one organ, one laboratory. Healthy and malignant epithelium are one kind, so it
  never says "cancer"."""
REPORTED_LICENCE = "Weights trained on these sets carry CC BY-NC-SA 4.0 and name them."


def model_card(reported: Reported) -> str:
    """Write the card of the shipped model as Markdown.

    Args:
        reported: as `models/results.json` is to hold it, a run shipped.

    Returns:
        the whole text of the card.
    """
    shipped = reported["shipped"]
    run = reported["runs"][shipped["run"]]
    size, file = run["recipe"]["image_size"], Path(shipped["file"])
    known = run["data"]["name"] == REPORTED_DATA
    typed = known and "kinds" in run["recipe"].get("outputs", [])
    sources = (
        REPORTED_SOURCES if known else f"The data set `{run['data']['name']}`, whatever whoever made it says of it:"
    )
    licence = REPORTED_LICENCE if known else "That of the data they were trained on, if it asks for one."
    return f"""# Model card: nuclei in H&E, U-Net over an EfficientNet

`{shipped["file"]}`, digest of its weights `{shipped["digest"]}`; and `{file.stem}.onnx`, the
same for ONNX Runtime, which `predict` runs on a CPU. `{file.stem}_int8.onnx`, the same in integers of 8 bits, is faster
still and tells slightly other numbers, so `predict` runs it where it is asked for alone: `helpers.load_model("int8")`,
or `--model int8`. Written by `python -m helpers publish --ship`.

## Use

```python
import helpers

found = helpers.predict(image, um_per_px=0.25)  # a path, or (H, W, 3) uint8 RGB; slides: helpers.predict_files
found.probability, found.mask  # (H, W) float32 and bool
found.instances, found.nuclei  # (H, W) int32, a number for each nucleus, and a table with a row for each
```

For teaching and research: it marks nuclei for a person who decides. **Not for diagnosis**; it is no medical device and
was never validated in a clinic.

## What it is

- {run["model"]["parameters"]:,} parameters; float16 in the file, float32 at work. Input: RGB at
  {TILE_UM_PER_PX * TILE_SIZE / size:.2f} um/px in tiles of {size} pixels; `predict` resamples.
- Network `{run["recipe"]["network"]}`. Output: {_outputs(run)}
  Threshold {THRESHOLD}.

## What it was trained on

{sources}
{run["data"]["train_tiles"]:,} tiles of 256 pixels of the data set with the digest `{run["data"]["digest"]}`.
The file holds the digests of all of them and the names of their sources, so that scoring it on them, in another copy
too, can be refused.

{" ".join(filter(None, (describe_training(run), describe_stages(reported, shipped["run"]))))}

## What it reaches

Dice on stitched full-size images, {describe_measure(reported)}:

{markdown_table(comparison_table(reported))}

Not a like comparison: CellViT was trained on PanNuke, HoVer-Net on CoNSeP's training images, this model on what is said
above. Their numbers are those of their papers.

Measured on whole images by the road that `predict` takes. All scores here are of the same masks. {FILLED}
{describe_fill_rules(reported)} Every run, those scored on older masks too, stands in [`RESULTS.md`](RESULTS.md).

{"".join(f"{part}{chr(10) * 2}" for part in nuclei_part(nuclei_entries(reported, runs=False)))}{
        _explained(run, describe_masks(reported))
    }## Limits

- Bright-field H&E alone. Trained and measured on tiles of 0.25 to about 0.3 um/px; `predict` accepts 0.1 to 1.0 and
  resamples, but how well that works was not measured on real tissue. A wrong `um_per_px` costs many points, so always
  give it.
- Few laboratories and scanners; expect worse on organs, stains and scanners that are not in the sets above.
  {describe_external(reported) or "How much worse was not measured."}
- It learnt what annotators drew, and sets differ in how generous their outlines are.{REPORTED_KINDS if typed else ""}

## How to repeat it

```
{training_command(shipped["run"], run)}
python -m helpers publish runs/{shipped["run"]} --ship
python -m helpers evaluate DATASET
python -m helpers evaluate TEST_SET
python -m helpers publish
```

The first `publish` needs `evaluate` of the run on DATASET, and takes what `explain` measured of it. The other runs:

```
{chr(10).join(training_command(name, other) for name, other in reported["runs"].items() if name != shipped["run"])}
```

A GPU adds up in an order of its own, so expect numbers that differ a little.

## Licence

{licence}
"""


def _outputs(run: Results) -> str:
    """Say what the network tells of a picture."""
    told, kinds = run["recipe"].get("outputs", ["nuclei"]), run["data"].get("kinds", [])
    parts = ["the probability of nucleus for each pixel"]
    parts += [f"kinds of nuclei ({', '.join(kinds)})" if "kinds" in told else "no kinds"]
    parts += ["nuclei that touch are parted" if "interior" in told else "nuclei that touch are not separated"]
    return f"{', '.join(parts[:2])}; {parts[2]}."


def training_command(name: str, run: Results) -> str:
    """Write the command that trains a run again: its recipe's name, and the options by which it differs from that."""
    recipe = run["recipe"]
    if recipe["name"] not in RECIPES:
        return f"# {name}: trained from Python, by a recipe of its own"
    base = RECIPES[recipe["name"]]
    if tiles := recipe.get("shuffled_masks"):
        base = replace(control_recipe(base, tiles), shuffled_masks=0)
    base = vars(base)
    start = run["model"]["encoder_start"]
    recipe = recipe | ({"pretrained": False} if start == "random" else {})  # where no weights were found to start from
    # JSON makes lists of tuples.
    recipe = {key: tuple(value) if isinstance(value, list) else value for key, value in recipe.items()}
    changed = {key: value for key, value in recipe.items() if key in base and base[key] != value}
    if by_hand := sorted(changed.keys() - {*TRAINING_OPTIONS, *TRAINING_FLAGS}):
        return f"# {name}: trained from Python, by `{recipe['name']}` with another {', '.join(by_hand)}"
    parts = [f"python -m helpers train DATASET --out runs/{name} --recipe {recipe['name']}"]
    parts += [f"--{key.replace('_', '-')} {changed[key]}" for key in TRAINING_OPTIONS if key in changed]
    method, _, copies = run["data"]["split"].partition(", ")
    parts += [f"--split {method.removeprefix('official ')}"] if method.startswith("official") else []
    parts += ["--drop-copies"] if copies else []
    parts += [flag for key, (value, flag) in TRAINING_FLAGS.items() if changed.get(key) == value]
    if "/" in start:  # a run's folder and its file; else random or ImageNet's
        parts.append(f"--init runs/{start}")
    return " ".join(parts)


def _explained(run: Results, masks: str) -> str:
    """Write what its explanation measured, if it has one."""
    if (explanation := run.get("explanation")) is None:
        return ""
    return f"""## What its uncertainty and its maps are worth

On {explanation["tiles"]} validation tiles of {explanation["groups"]} groups. The temperature is in the file; `predict`
uses it. {masks}

{markdown_table(calibration_table(explanation))}

{describe_uncertainty(explanation)}

{describe_maps(explanation)}

By data set (mean over tiles at the network's size; `TCGA` is MoNuSeg):

{markdown_table(source_table(explanation))}

"""

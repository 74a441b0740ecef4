"""Scores of single nuclei: are they told apart, found, and named by their kind."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from helpers.data.masks import channels_of
from helpers.evaluation.instance_summary import (
    count_kinds,
    detection_counts,
    f1_by_kind,
    kind_counts,
    panoptic_quality_by_kind,
    summarize,
)
from helpers.inference.segmentation import Segmentation
from helpers.instance_metrics import InstanceScores, match_instances, pair_centroids, score_matching
from helpers.metrics import FEWEST_FOR_INTERVAL, bootstrap_interval, bootstrap_mean
from helpers.training.results import KindScores, NucleiScores

# What other data sets call a kind, where they do not call it the same. Epithelium is one kind, healthy or malignant, as
# HoVer-Net takes CoNSeP (Graham et al. 2019, doi:10.1016/j.media.2019.101563); PanNuke's neoplastic nuclei (Gamper et
# al. 2020, arXiv:2003.10778) are a part of it, and its inflammatory ones hold lymphocytes, which MoNuSAC (Verma et al.
# 2021, doi:10.1109/TMI.2021.3085712) has by themselves.
SAME_KIND = {"neoplastic": "epithelial", "lymphocyte": "inflammatory"}
RESAMPLES = 2000  # as in `helpers.metrics`
UNTYPED = "untyped"  # the channel of nuclei of which no kind is told


@dataclass(frozen=True)
class Kinds:
    """The C kinds of a data set and of a model, each once.

    Attributes:
        names: as the model has them, then what the data set alone has.
        told: how many of them, the first, the model tells; what it says of a nucleus of another is always wrong.
        of_channel: `(5,)` int64, place in `names` of each class channel; -1 where nuclei have no kind.
        of_model: the model's own names to places.
    """

    names: tuple[str, ...]
    told: int
    of_channel: np.ndarray
    of_model: dict[str, int]


@dataclass(frozen=True)
class ImageNuclei:
    """The scores of one image.

    Attributes:
        scores: whatever the kinds.
        table: `(C + 1, C + 1)` as from `count_kinds`; None where the kinds are not known, or the model tells none.
        kind_pq: `(C,)` as from `panoptic_quality_by_kind`, or None.
    """

    scores: InstanceScores
    table: np.ndarray | None = None
    kind_pq: np.ndarray | None = None


def match_kinds(of_data: Sequence[str], of_model: Sequence[str]) -> Kinds | None:
    """Match kinds by name, whatever their case, and by `SAME_KIND` where the other side does not know the name.

    Args:
        of_data: what the class channels of a data set mean.
        of_model: the kinds that a network tells.

    Returns:
        None where it tells none.

    >>> kinds = match_kinds(("Neoplastic", "Inflammatory", "Connective", "Dead", "Epithelial"), ("Epithelial", "Other"))
    >>> kinds.names, kinds.told, kinds.of_channel.tolist()
    (('Epithelial', 'Other', 'Inflammatory', 'Connective', 'Dead'), 2, [0, 2, 3, 4, 0])
    """
    if not of_model:
        return None
    shown = {kind.casefold(): kind for kind in (*of_data, *of_model)}
    model, data = _common_names(of_model, of_data), _common_names(of_data, of_model)
    names = list(dict.fromkeys([*model, *(name for name in data if name != UNTYPED)]))
    return Kinds(
        names=tuple(shown[name] for name in names),
        told=len(set(model)),
        of_channel=np.array([-1 if name == UNTYPED else names.index(name) for name in data]),
        of_model={kind: names.index(name) for kind, name in zip(of_model, model, strict=True)},
    )


def _common_names(kinds: Sequence[str], others: Sequence[str]) -> list[str]:
    """Give each kind's name in small letters, or the one that the others have for it."""
    known = {other.casefold() for other in others}
    names = [kind.casefold() for kind in kinds]
    return [SAME_KIND[name] if name not in known and SAME_KIND.get(name) in known else name for name in names]


def score_nuclei(found: Segmentation, truth: np.ndarray, kinds: Kinds | None = None) -> ImageNuclei:
    """Hold the nuclei that were found in an image against the true ones.

    Args:
        found: of the image, at 0.25 um/px.
        truth: `(H, W)` int64, the numbers of `Tiles.instances`, put together.
        kinds: as from `match_kinds`; None where the image's are not known.
    """
    matching = match_instances(found.instances, truth)
    scores = score_matching(matching)
    if kinds is None:
        return ImageNuclei(scores)
    names = found.nuclei["kind"][matching.predicted.ids - 1].tolist()
    predicted = np.array([kinds.of_model[name] for name in names], np.int64)
    true = kinds.of_channel[channels_of(matching.truth.ids)]
    pairs = pair_centroids(matching.predicted.centroids, matching.truth.centroids)
    table = count_kinds(pairs, predicted, true, len(kinds.names))
    return ImageNuclei(scores, table, panoptic_quality_by_kind(matching, predicted, true, len(kinds.names)))


def summarize_nuclei(
    images: Sequence[ImageNuclei | None], tissues: np.ndarray, units: np.ndarray, kinds: Kinds | None = None
) -> NucleiScores | None:
    """Score single nuclei over the images whose nuclei are told apart.

    Args:
        images: the N images; None for one whose nuclei are not told apart.
        tissues: `(N,)` str.
        units: `(N,)` str, the source image of each, from which intervals are drawn.
        kinds: as they were scored by.

    Returns:
        None where there is no such image.
    """
    apart = np.array([image is not None for image in images])
    if not apart.any():
        return None
    images, tissues, units = [image for image in images if image is not None], tissues[apart], units[apart]
    each, tables = [one.scores for one in images], [one.table for one in images if one.table is not None]
    kind_pq = None
    if tables:  # an image without kinds has none of them, which leaves it out
        unknown = np.full(len(kinds.names), np.nan)
        kind_pq = np.array([unknown if one.kind_pq is None else one.kind_pq for one in images])
    intervals = {name: _interval_of_mean([getattr(one, name) for one in each], units) for name in ("pq", "aji")}
    intervals["detection_f1"] = _interval(detection_counts(each), units, "dice_pooled")
    result = {
        "scores": summarize(each, tissues, kind_pq),
        "intervals": intervals,
        "units": len(np.unique(units)),
        "true": sum(one.true for one in each),
        "predicted": sum(one.predicted for one in each),
        "kinds": None,
    }
    if tables:
        known = units[[one.table is not None for one in images]]
        result["kinds"] = summarize_kinds(np.array(tables), known, kinds)
    return result


def summarize_kinds(tables: np.ndarray, units: np.ndarray, kinds: Kinds) -> KindScores:
    """Score kinds over images.

    Beside F1, which asks for every nucleus to be found, it gives how often a nucleus that was found is named rightly:
    where not all nuclei are annotated (MoNuSAC has four kinds alone), only that can be judged.

    Args:
        tables: `(N, C + 1, C + 1)`, one of each image, as from `count_kinds`.
        units: `(N,)` str, the source image of each.
        kinds: the C kinds.
    """
    total = tables.sum(0)
    counts, f1 = kind_counts(tables), f1_by_kind(total)
    paired = tables[:, :-1, :-1]
    right = np.diagonal(paired, axis1=1, axis2=2)
    named = np.stack([right, np.zeros_like(right), paired.sum(2) - right, np.zeros_like(right)], axis=2)
    rows = []
    for place, name in enumerate(kinds.names):
        true, predicted = int(total[place].sum()), int(total[:, place].sum())
        hits, pairs = int(total[place, place]), int(total[place, :-1].sum())
        if true + predicted:
            rows.append(
                {
                    "name": name,
                    "told": place < kinds.told,
                    "true": true,
                    "predicted": predicted,
                    "paired": pairs,
                    "f1": float(f1[place]),
                    "interval": _interval(counts[:, place], units, "dice_pooled"),
                    "precision": hits / predicted if predicted else None,
                    "recall": hits / true if true else None,
                    "named_rightly": hits / pairs if pairs else None,
                    "named_interval": _interval(named[:, place], units, "recall"),
                }
            )
    judged = [row for row in rows if row["told"] and row["paired"]]
    places = [kinds.names.index(row["name"]) for row in judged]
    return {
        "rows": rows,
        "names": list(kinds.names),
        "confusion": total.tolist(),
        "images": len(tables),
        "judged": [row["name"] for row in judged],
        "balanced_accuracy": sum(row["named_rightly"] for row in judged) / len(judged) if judged else None,
        "balanced_interval": _balanced_interval(right[:, places], paired.sum(2)[:, places], units),
    }


def row_of(image: ImageNuclei | None) -> dict[str, float | int]:
    """Give what is kept of one image; nothing where its nuclei are not told apart."""
    if image is None:
        return {}
    one = image.scores
    numbers = {"nuclei_true": one.true, "nuclei_predicted": one.predicted, "nuclei_detected": one.detected}
    return {"pq": one.pq, "aji": one.aji} | numbers


def _interval(counts: np.ndarray, units: np.ndarray, key: str) -> tuple[float, float] | None:
    return bootstrap_interval(counts, units, key) if len(np.unique(units)) >= FEWEST_FOR_INTERVAL else None


def _balanced_interval(right: np.ndarray, pairs: np.ndarray, units: np.ndarray) -> tuple[float, float] | None:
    """Give the 95 % interval of a mean over K kinds, `(N, K)` counts of images, when whole source images are drawn.

    A draw in which a kind has no pair is one of the other kinds.
    """
    names, unit_of = np.unique(units, return_inverse=True)
    if len(names) < FEWEST_FOR_INTERVAL or not pairs.size:
        return None
    sums = np.zeros((2, len(names), pairs.shape[1]))
    for counts, summed in zip((right, pairs), sums, strict=True):
        np.add.at(summed, unit_of, counts)
    draws = np.random.default_rng(0).integers(len(names), size=(RESAMPLES, len(names)))
    above, below = sums[:, draws].sum(2)  # (RESAMPLES, K)
    shares = np.divide(above, below, out=np.full_like(above, np.nan), where=below > 0)
    low, high = np.nanpercentile(np.nanmean(shares, axis=1), [2.5, 97.5])
    return float(low), float(high)


def _interval_of_mean(values: list[float], units: np.ndarray) -> tuple[float, float] | None:
    return bootstrap_mean(values, units)[1:] if len(np.unique(units)) >= FEWEST_FOR_INTERVAL else None

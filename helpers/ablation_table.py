"""The ablation as a table for a reader."""

import pandas as pd

from helpers.tables import MISSING, format_interval, format_number


def ablation_table(ablation: dict) -> pd.DataFrame:
    """Show an ablation, a row for each recipe: its Dice, what its change is worth, and whether that is noise.

    Args:
        ablation: as from `ablation.run_ablation`.
    """
    rows = {}
    for name, row in ablation["rows"].items():
        difference, noise = row["difference"], row["noise"]
        verdict = MISSING if noise is None else "noise" if noise else "gain" if difference > 0 else "loss"
        rows[name] = {
            "changed": row["changed"],
            "compared with": row["compared_with"] or MISSING,
            "n": row["n"],
            "seeds": len(row["seeds"]),
            "Dice": format_number(row["mean"]),
            "spread": format_number(row["spread"]),
            "difference": MISSING if difference is None else f"{difference:+.3f}",
            "95 % interval": format_interval(row["interval"]),
            "verdict": verdict,
            "parameters": format_number(row["parameters"]),
            "minutes": format_number(row["seconds"] / 60, 1),
        }
    return pd.DataFrame.from_dict(rows, orient="index")

"""AUC of the best possible model on a simulation's users: `python -m simulator.truth DIR`.

In   DIR/labels.csv, DIR/truth.csv
Out  one line: AUC 0.872 of the true risk on 18,912 labels
"""

from pathlib import Path
from typing import Annotated

import pandas as pd
import typer
from sklearn.metrics import roc_auc_score


def best_reachable_auc(folder: Path) -> tuple[float, int]:
    """Compute the AUC of the true risk on the labels, and count the labels.

    No model that knows only what happened before `as_of` can expect a higher AUC, since labels are drawn from
    this risk.
    """
    labels = pd.read_csv(folder / "labels.csv")
    truth = pd.read_csv(folder / "truth.csv")
    both = labels.merge(truth, on="user_id", validate="one_to_one")
    return float(roc_auc_score(both["label"], both["true_risk"])), len(both)


def main(
    folder: Annotated[Path, typer.Argument(help="Folder that `python -m simulator --output` wrote.")],
) -> None:
    """Print the best reachable AUC."""
    auc, labels = best_reachable_auc(folder)
    print(f"AUC {auc:.3f} of the true risk on {labels:,} labels")


if __name__ == "__main__":
    typer.run(main)

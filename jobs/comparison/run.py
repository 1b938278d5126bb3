"""Log a comparison to the active MLflow run.

In   contestants, holdout, findings
Out  tags that the gate of promotions searches by, metrics, pictures/*.png, tables/slices.csv, comparison.md
"""

from dataclasses import asdict

import mlflow
import pandas as pd

from jobs.comparison import page
from jobs.comparison.findings import Findings
from jobs.comparison.holdout import Holdout, Source
from jobs.comparison.versions import Contestant
from jobs.evaluation import plots
from jobs.evaluation.baseline import BAG_OF_APPS_BASELINE
from jobs.runs.log import log_figures, log_intervals, log_training_set
from jobs.runs.names import snake_case
from jobs.training_set.splits import Split
from model_registry.tracking import comparisons
from model_registry.tracking.model_tracking import PAGE_TAG


def log_versions(model_name: str, contestants: list[Contestant]) -> None:
    """Set the tags that the gate before a promotion searches by."""
    challenger, *opponents = contestants
    tags = {
        comparisons.PURPOSE_TAG: comparisons.COMPARISON,
        comparisons.MODEL_NAME_TAG: model_name,
        comparisons.CHALLENGER_TAG: challenger.number,
        comparisons.CHALLENGER_SHA256_TAG: challenger.sha256,
    }
    if opponents:
        tags[comparisons.CHAMPION_TAG] = opponents[0].number
        tags[comparisons.CHAMPION_SHA256_TAG] = opponents[0].sha256
    mlflow.set_tags(tags)
    # The gate rejects figures on users that the challenger may have memorised.
    mlflow.log_metric("challenger_users_known", float(challenger.trained_on is not None))


def log_holdout(holdout: Holdout, source: Source, split: Split) -> None:
    """Record the holdout; equal SHA-256 of its rows means that two comparisons used the same rows."""
    log_training_set(source.training_set, source.location, "comparison", digest=holdout.sha256[:36])
    mlflow.set_tags({"holdout.sha256": holdout.sha256, "holdout.split": split.method})
    mlflow.log_params(
        {
            "holdout_users": holdout.examples.users,
            "holdout_examples": len(holdout.examples),
            "left_out_users": holdout.left_out,
        }
    )


def log_findings(findings: Findings, holdout: Holdout, place: str) -> None:
    """Record metrics, charts, tables and the page."""
    prefixes = {
        findings.challenger: "challenger",
        findings.champion: "champion",
        BAG_OF_APPS_BASELINE: snake_case(BAG_OF_APPS_BASELINE),
    }
    for name, measured in findings.metrics.items():
        log_intervals(f"{prefixes.get(name, snake_case(name))}_", measured)
    mlflow.log_metric("challenger_ece_by_chance", findings.ece_by_chance)
    for name, by_metric in findings.differences.items():
        prefix = "" if name == findings.champion else f"{snake_case(name)}_"
        log_intervals(prefix, {f"{metric}_difference": each for metric, each in by_metric.items()})
    labels = holdout.examples.labels
    log_figures(
        {
            "roc": plots.draw_roc(labels, findings.probabilities),
            "calibration": plots.draw_calibration(labels, findings.probabilities),
            "differences": plots.draw_differences(
                {f"against {name}": by_metric["auc"] for name, by_metric in findings.differences.items()}
            ),
            "slices": plots.draw_differences(
                {
                    "all": findings.difference,
                    **{each.name: each.auc for each in findings.slices},
                },
                "Differences in AUC by slice",
            ),
        }
    )
    slices = [
        {"slice": each.name, "users": each.users, "bad_rate": each.bad_rate, **asdict(each.auc)}
        for each in findings.slices
    ]
    mlflow.log_text(pd.DataFrame(slices).to_csv(index=False), "tables/slices.csv")
    run = mlflow.active_run()
    text = page.write_page(findings, holdout, place, run.info.run_id if run else "")
    mlflow.log_text(text, "comparison.md")
    mlflow.set_tags({PAGE_TAG: text, "verdict": findings.verdict})

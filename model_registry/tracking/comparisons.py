"""The figures that the gate reads from a comparison, a run of jobs/compare_models.py.

In   tags of its run, by which it is found, and metrics
Out  Comparison("3f2a…", challenger_auc=0.873, champion_auc=0.861, …)
"""

from dataclasses import dataclass

# Tags of a comparison's run, which jobs/compare_models.py sets and the gate searches by.
PURPOSE_TAG, COMPARISON = "purpose", "comparison"
MODEL_NAME_TAG = "model_name"
CHALLENGER_TAG, CHALLENGER_SHA256_TAG = "challenger", "challenger_sha256"
CHAMPION_TAG, CHAMPION_SHA256_TAG = "champion", "champion_sha256"


@dataclass(frozen=True)
class Comparison:
    """Metrics of one run of jobs/compare_models.py, with their names there."""

    run_id: str
    challenger_auc: float
    champion_auc: float
    auc_difference: float  # challenger minus champion
    auc_difference_low: float
    auc_difference_high: float
    challenger_ece: float  # expected calibration error
    challenger_ece_by_chance: float  # what true probabilities exceed in 5% of such holdouts
    challenger_users_known: float  # 1 if its training users were left out, 0 if they are not known

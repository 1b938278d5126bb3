"""The gate before a promotion: a version must not be worse than the champion.

In   the latest comparison of the version with the present champion: an MLflow run of jobs/compare_models.py
Out  objections to the promotion, each with its figures:
     AUC 0.8512 against the champion's 0.8731: -0.0219 (95% -0.0301 to -0.0137), allowed is -0.0050
"""

from dataclasses import dataclass

from model_registry.errors import AliasMissingError, PromotionRefusedError
from model_registry.tracking.comparisons import Comparison
from model_registry.tracking.model_tracking import ModelTracking


@dataclass(frozen=True)
class Limits:
    """Limits on how much worse than the champion a version may be."""

    auc_margin: float = 0.005  # a difference in AUC that costs less than an outdated model does
    # Expected calibration error of the challenger. Thresholds are set on scores, and with a larger error they
    # would mean something else. If so few users were compared that even true probabilities reach a larger
    # error by chance, that error is the limit instead: 0.06 with 400 users.
    max_ece: float = 0.05


def check_promotion(
    tracking: ModelTracking, number: int, limits: Limits | None = None, *, force: bool = False
) -> list[str]:
    """Return the objections that `force` overrules; an empty list if there are none, or no champion.

    Raises:
        PromotionRefusedError: there are objections, and no force.
    """
    try:
        champion = tracking.champion()
    except AliasMissingError:
        return []  # there is no champion to compare with
    if champion == number:
        return []
    comparison = tracking.latest_comparison(number, champion)
    objections = find_objections(comparison, limits or Limits())
    if objections and not force:
        raise _refused(tracking, number, champion, comparison, objections)
    return objections


def find_objections(comparison: Comparison | None, limits: Limits) -> list[str]:
    """List the objections to a challenger with this comparison."""
    if comparison is None:
        return ["no finished comparison of the two"]
    objections = []
    if not comparison.challenger_users_known:
        objections.append(
            "it may have been trained on the users that it was compared on: its run does not record its "
            "training users"
        )
    # `not >=` instead of `<`: NaN is an objection, too.
    if not comparison.auc_difference >= -limits.auc_margin:
        objections.append(
            f"AUC {comparison.challenger_auc:.4f} against the champion's {comparison.champion_auc:.4f}: "
            f"{comparison.auc_difference:+.4f} (95% {comparison.auc_difference_low:+.4f} to "
            f"{comparison.auc_difference_high:+.4f}), allowed is {-limits.auc_margin:+.4f}"
        )
    if not comparison.challenger_ece <= max(limits.max_ece, comparison.challenger_ece_by_chance):
        objections.append(
            f"calibration error {comparison.challenger_ece:.4f}, allowed is {limits.max_ece:.4f} "
            f"(true probabilities of these users reach {comparison.challenger_ece_by_chance:.4f} by chance)"
        )
    return objections


def _refused(
    tracking: ModelTracking,
    number: int,
    champion: int,
    comparison: Comparison | None,
    objections: list[str],
) -> PromotionRefusedError:
    expected = f"{tracking.model_name} version {number} to be as good as the champion, version {champion}"
    if comparison is None:
        way_out = (
            f"python -m jobs.compare_models --challenger {number}, then promote it again; "
            "to roll back without waiting for it, --force, which is recorded"
        )
    else:
        way_out = (
            f"read the page of MLflow run {comparison.run_id}, then train again, "
            "or --force, which is recorded"
        )
    return PromotionRefusedError(expected, "; ".join(objections), way_out)

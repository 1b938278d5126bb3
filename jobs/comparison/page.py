"""The page of a comparison's MLflow run, as markdown.

In   figures of challenger and champions on one holdout
Out  verdict, figures of every model, differences, worse slices, holdout and charts
"""

from urllib.parse import urlencode

from jobs.comparison.findings import BETTER, UNDECIDED, WORSE, Findings
from jobs.comparison.holdout import Holdout
from jobs.evaluation.markdown import write_interval, write_table
from jobs.evaluation.slices import FEWEST_USERS

METRIC_NAMES = {
    "auc": "AUC",
    "ks": "KS",
    "log_loss": "log loss",
    "brier": "Brier score",
    "ece": "calibration error",
}
PICTURES = {
    "differences": "Differences in AUC",
    "slices": "Differences in AUC by slice",
    "roc": "ROC",
    "calibration": "Calibration",
}
# MLflow's tags hold 8,000 characters; all slices are in tables/slices.csv.
MOST_SLICES = 12

NO_SLICES = f"No slice has {FEWEST_USERS} users and both labels, so worse slices are not known."


def write_page(findings: Findings, holdout: Holdout, place: str, run_id: str) -> str:
    """Write the page; `place` names the source of the holdout."""
    return "\n\n".join(
        [
            f"## {write_headline(findings)}",
            write_verdict(findings, holdout),
            "### Models\n\n" + write_metrics(findings),
            f"### {capitalize(findings.challenger)} minus each other model\n\n"
            + write_differences(findings)
            + "\n\nLog loss and Brier score are better when they fall.",
            "### Slices in which it is worse\n\n" + write_worse_slices(findings),
            "### Holdout\n\n" + write_holdout(holdout, place),
            "### Pictures\n\n" + "\n\n".join(link_picture(run_id, *picture) for picture in PICTURES.items()),
        ]
    )


def write_headline(findings: Findings) -> str:
    relation = {BETTER: "is better than", WORSE: "is worse than", UNDECIDED: "is not clearly different from"}
    return f"{capitalize(findings.challenger)} {relation[findings.verdict]} {findings.title}"


def write_verdict(findings: Findings, holdout: Holdout) -> str:
    """Verdict, difference in AUC, its certainty and the worse slices, in one line."""
    ours = findings.metrics[findings.challenger]["auc"].value
    theirs = findings.metrics[findings.champion]["auc"].value
    if findings.surely_worse_slices:
        slices = f"It is surely worse in the slices {', '.join(findings.surely_worse_slices)}."
    elif not findings.slices:
        slices = NO_SLICES
    else:
        slices = "It is surely worse in no slice of users."
    return (
        f"{write_headline(findings)}: AUC {ours:.4f} against {theirs:.4f}, a difference of "
        f"{write_interval(findings.difference, '+.4f')}, 95% interval in brackets. It ranks better in "
        f"{findings.difference.share_better:.1%} of {findings.resamples:,} resamples of "
        f"{holdout.examples.users:,} held-out users. {slices}"
    )


def write_metrics(findings: Findings) -> str:
    rows = [
        [name, *(write_interval(measured[metric]) for metric in METRIC_NAMES)]
        for name, measured in findings.metrics.items()
    ]
    return (
        write_table(["model", *(f"{name} (95%)" for name in METRIC_NAMES.values())], rows)
        + f"\n\nBy chance, even true probabilities of these users would have a calibration error of up to "
        f"{findings.ece_by_chance:.4f} in 95% of cases."
    )


def write_differences(findings: Findings) -> str:
    rows = [
        [name, METRIC_NAMES[metric], write_interval(each, "+.4f"), f"{each.share_better:.1%} of resamples"]
        for name, by_metric in findings.differences.items()
        for metric, each in by_metric.items()
    ]
    return write_table(["against", "metric", "difference (95%)", "better in"], rows)


def write_worse_slices(findings: Findings) -> str:
    """Table of the slices in which the challenger ranks worse, the worst first."""
    worse = findings.worse_slices
    if not findings.slices:
        return NO_SLICES
    if not worse:
        return f"It ranks worse than {findings.champion} in none of {len(findings.slices)} slices."
    rows = [
        [
            difference.name,
            f"{difference.users:,}",
            f"{difference.bad_rate:.1%}",
            write_interval(difference.auc, "+.4f"),
            "yes" if difference.auc.is_sure else "may be chance",
        ]
        for difference in worse[:MOST_SLICES]
    ]
    table = write_table(["slice", "users", "bad rate", "difference in AUC (95%)", "surely"], rows)
    return (
        f"It ranks worse than {findings.champion} in {len(worse)} of {len(findings.slices)} slices. "
        f"Between equally good models, about one slice in 40 would look surely worse.\n\n{table}"
        + ("\n\nMore in `tables/slices.csv`." if len(worse) > MOST_SLICES else "")
    )


def write_holdout(holdout: Holdout, place: str) -> str:
    """Facts and notes about the users of the holdout."""
    examples = holdout.examples
    lines = [
        f"{examples.users:,} users with {len(examples):,} labels, {examples.labels.mean():.1%} of them 1: {place}",
        f"SHA-256 of their ids, labels, app ids and sessions: `{holdout.sha256}`",
        *(f"**Note**: {note}" for note in holdout.notes),
    ]
    return "\n".join(f"- {line}" for line in lines)


def link_picture(run_id: str, name: str, title: str) -> str:
    """Markdown image of a chart of this run, served by MLflow."""
    query = urlencode({"path": f"pictures/{name}.png", "run_uuid": run_id})
    return f"![{title}](get-artifact?{query})"


def capitalize(name: str) -> str:
    """Raise the first letter only, for the start of a sentence."""
    return name[:1].upper() + name[1:]

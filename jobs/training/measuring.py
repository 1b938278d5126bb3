"""Measure a trained model, its members and the baselines on the test users.

In   a trained model and the test examples
Out  Report: metrics with intervals by model, paired differences, deciles, slices, confusion matrix
"""

from jobs.encoder.tokens import UNKNOWN_TOKEN_ID
from jobs.evaluation.baseline import fit_baselines, predict_baseline
from jobs.evaluation.classification import classify, most_confusing
from jobs.evaluation.intervals import Bootstrap
from jobs.evaluation.metrics import to_probabilities
from jobs.evaluation.report import Probabilities, Report
from jobs.evaluation.slices import slice_metrics
from jobs.runs.names import ENCODER
from jobs.sequences.token_sequences import TokenSequences, count_token
from jobs.training.recipe import Trained
from jobs.training_set.splits import Split

MODEL = "model"
WITHOUT_ENCODER = "model without encoder"
ENCODER_ALONE = "encoder alone"


def measure_trained(split: Split, trained: Trained, seed: int) -> Report:
    """Measure the model, its members and the baselines on the test users."""
    test = split.test
    tokens = trained.tokenizer.translate(test.installs)
    probabilities = predict_test_users(split, trained, tokens)
    scores = probabilities[MODEL]
    unknown = count_token(tokens, UNKNOWN_TOKEN_ID)
    bootstrap = Bootstrap(test.labels, test.user_ids, seed=seed)
    return Report(
        labels=test.labels,
        probabilities=probabilities,
        metrics={name: bootstrap.metrics(values) for name, values in probabilities.items()},
        differences={
            name: bootstrap.difference(scores, values)
            for name, values in probabilities.items()
            if name != MODEL
        },
        deciles=bootstrap.deciles(scores),
        slices=slice_metrics(bootstrap, scores, tokens.lengths, unknown / tokens.lengths, test.as_of),
        classification=classify(test.labels, scores, trained.threshold),
        confusing=most_confusing(test.user_ids, test.labels, scores, test.installs),
    )


def predict_test_users(split: Split, trained: Trained, tokens: TokenSequences) -> Probabilities:
    """Probabilities of the test users by model; all models are fitted on the same training users."""
    logits = trained.member_logits(tokens)
    return {
        MODEL: to_probabilities(trained.stack.combine(logits)),
        WITHOUT_ENCODER: to_probabilities(trained.linear_stack.combine(logits)),
        ENCODER_ALONE: to_probabilities(logits[ENCODER]),
        **{
            name: predict_baseline(baseline, split.test)
            for name, baseline in fit_baselines(split.train, trained.held_out.cs).items()
        },
    }

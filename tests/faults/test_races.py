"""Attempts that run side by side, or come back after others have finished."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import date

import pytest

from jobs.lake.branches import LakeTable
from jobs.lake.staging import StalePublishError
from model_registry.versions import PinnedModel
from tests.faults.conftest import Promise
from tests.faults.hold import holding
from tests.faults.scored_days import rescore
from tests.night import audit, score


@pytest.mark.quick
@pytest.mark.fault(12)
def test_scores_of_a_frozen_attempt_are_refused_once_its_retry_has_published(
    day: date, model: PinnedModel, promise: Promise, attempts: Iterator[str]
) -> None:
    frozen, retry = next(attempts), next(attempts)
    score(model, day, frozen)
    with promise(day, retry), ThreadPoolExecutor(1) as pool, holding(LakeTable, "move_main") as point:
        first = pool.submit(audit, model, day, frozen)
        point.wait()
        rescore(model, day, retry)
        point.release()
        with pytest.raises(StalePublishError, match=f"conflict.*'{retry}'"):
            first.result()

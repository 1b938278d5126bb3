"""An audit is passed only if every package was looked up and none has an advisory."""

from local_cluster.install.audit import describe

SOUND = {"name": "keras", "version": "3.15.1", "vulns": []}
VULNERABLE = {
    "name": "mlflow",
    "version": "3.0.0",
    "vulns": [{"id": "GHSA-1", "fix_versions": ["3.1.0"]}, {"id": "GHSA-2", "fix_versions": []}],
}
UNKNOWN = {"name": "numpy", "skip_reason": "Dependency not found on PyPI"}


def test_packages_without_advisories_pass():
    assert describe([SOUND, SOUND]) == ("looked up 2 of 2 Python packages at https://pypi.org; no jar", True)


def test_every_advisory_is_named_with_the_version_that_mends_it():
    text, is_good = describe([SOUND, VULNERABLE])
    assert text.splitlines()[:-1] == [
        "mlflow 3.0.0: GHSA-1, fixed in 3.1.0",
        "mlflow 3.0.0: GHSA-2, fixed in no version yet",
    ]
    assert not is_good


def test_a_package_that_could_not_be_looked_up_is_no_good_news():
    text, is_good = describe([SOUND, UNKNOWN])
    assert text.startswith("looked up 1 of 2 ")
    assert not is_good

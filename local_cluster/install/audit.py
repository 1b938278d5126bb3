"""Known vulnerabilities of the locked Python packages, and how many of them could be looked up: `make audit`.

In   requirements.lock
Out  packages with advisories, and a last line   looked up 219 of 219 Python packages at https://pypi.org

    exit  0   all were looked up, and none has an advisory
    exit  1   an advisory, or a package that could not be looked up

Jars are not looked up: PyPI knows Python packages only. `make sbom` lists them for a scanner that does.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from settings import REPOSITORY

SOURCE = (
    "https://pypi.org"  # pip-audit asks its JSON API, which repeats the Python Packaging Advisory Database
)


def look_up(lock: Path) -> list[dict[str, Any]]:
    """Ask for the advisories of every package; one that PyPI does not answer for has a `skip_reason`."""
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pip_audit", "--progress-spinner", "off", "--format", "json"),
            *("--disable-pip", "--require-hashes", "--requirement", str(lock)),
        ],
        capture_output=True,
        text=True,
    )
    try:
        return list(json.loads(done.stdout)["dependencies"])
    except ValueError:
        sys.exit(f"error: pip-audit found nothing out: {done.stderr.strip()}")


def describe(packages: list[dict[str, Any]]) -> tuple[str, bool]:
    """Describe what is known; the second value is whether all of it is good news."""
    known = [package for package in packages if "skip_reason" not in package]
    lines = [
        f"{package['name']} {package['version']}: {advisory['id']}, fixed in "
        f"{', '.join(advisory['fix_versions']) or 'no version yet'}"
        for package in known
        for advisory in package["vulns"]
    ]
    is_good = not lines and len(known) == len(packages)
    lines.append(f"looked up {len(known)} of {len(packages)} Python packages at {SOURCE}; no jar")
    return "\n".join(lines), is_good


if __name__ == "__main__":
    text, is_good = describe(look_up(REPOSITORY / "requirements.lock"))
    print(text)
    sys.exit(0 if is_good else 1)

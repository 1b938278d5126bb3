"""Documents name only what exists: paths, links, verbs, modules, errors, settings; tables agree with code."""

import re
from pathlib import Path
from typing import NamedTuple

import pytest

from jobs.encoder import tokens
from jobs.landing import event_rules
from jobs.runs import names
from jobs.sequences import tokenizer_files
from model_registry.model_folder import ENCODERS
from settings import REPOSITORY
from tests.rooms import MAY_USE

TOPS = ("bench", "dags", "docker", "docs", "jobs", "local_cluster", "model_registry", "simulator", "tests")
GUIDES = [REPOSITORY / name for name in ("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "docker/README.md")]
# Tables of docs/quality/ are history: the paths and commands that they name were those of their day.
HISTORY = sorted((REPOSITORY / "docs" / "quality").glob("*.md"))
PAGES = sorted({*GUIDES, *(REPOSITORY / "docs").rglob("*.md")} - {*HISTORY})
WRITTEN_BY_READERS = {"docker/.env"}  # in a command that copies docker/.env.example

CODE = re.compile(r"```.*?```|`[^`]+`", re.DOTALL)
LINK = re.compile(r"\[[^\]]*\]\((?P<target>[^)\s]+)\)")
# Not after a slash or a letter: hdfs:///jars/… and /opt/jobs/ are other machines' paths.
PATH = re.compile(rf"(?<![\w./-])(?:{'|'.join(TOPS)})/[\w./-]*")
FILE_NAME = re.compile(r"(?<![\w./*-])[\w-]+\.(?:py|sh|toml|lock)\b(?!/)")
VERB = re.compile(r"(?<![\w-])make(?: -\S+| [A-Z_]+=\S*)*((?: [a-z][a-z-]*)+)")
MODULE = re.compile(r"-m ([a-z_]+(?:\.[a-z_]+)*)")


class Named(NamedTuple):
    """Something that a document names."""

    page: str
    name: str


def code_of(page: Path) -> list[str]:
    """Inline code, joined where it is broken over lines, and code blocks without comments."""
    spans = CODE.findall(page.read_text())
    return [
        re.sub(r"#.*", "", span) if span.startswith("```") else re.sub(r"\s+", " ", span) for span in spans
    ]


def named(pattern: re.Pattern[str], pages: list[Path]) -> set[Named]:
    """All that the code in these pages names by the pattern, or by its group."""
    return {
        Named(str(page.relative_to(REPOSITORY)), name)
        for page in pages
        for span in code_of(page)
        for name in pattern.findall(span)
    }


def headings_of(page: Path) -> set[str]:
    """Anchors, as GitHub makes them of headings."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def table_after(page: str, header: str) -> list[list[str]]:
    """Cells of the table whose first column has this header."""
    lines = (REPOSITORY / page).read_text().splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith(f"| {header} |"))
    rows = []
    for line in lines[start + 2 :]:
        if not line.startswith("|"):
            break
        rows.append([cell.strip() for cell in line.strip("|").split("|")])
    return rows


def code_in(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


def test_paths_in_code_exist() -> None:
    found = named(PATH, PAGES)
    assert len(found) > 50
    assert not {
        one for one in found if one.name not in WRITTEN_BY_READERS and not (REPOSITORY / one.name).exists()
    }


def test_file_names_in_code_are_those_of_a_file() -> None:
    files = {path.name for top in TOPS for path in (REPOSITORY / top).rglob("*") if path.is_file()}
    files |= {path.name for path in REPOSITORY.iterdir()}
    found = named(FILE_NAME, PAGES)
    assert len(found) > 10
    assert not {one for one in found if one.name not in files}


def test_relative_links_resolve() -> None:
    links = {
        Named(str(page.relative_to(REPOSITORY)), target)
        for page in (*PAGES, *HISTORY)
        for target in LINK.findall(page.read_text())
        if "://" not in target
    }
    assert len(links) > 50
    broken = set()
    for link in links:
        path, _, anchor = link.name.partition("#")
        page = REPOSITORY / link.page
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (anchor and anchor not in headings_of(target)):
            broken.add(link)
    assert not broken


def test_verbs_are_in_the_makefile() -> None:
    verbs = set(re.findall(r"^([a-z-]+):", (REPOSITORY / "Makefile").read_text(), re.MULTILINE))
    found = named(VERB, PAGES)
    assert len(found) > 20
    assert not {one for one in found if not {*one.name.split()} <= verbs}


def test_modules_in_commands_exist() -> None:
    found = {one for one in named(MODULE, PAGES) if one.name.split(".")[0] in TOPS}
    assert len(found) > 5
    places = {one: REPOSITORY.joinpath(*one.name.split(".")) for one in found}
    assert not {
        one for one, place in places.items() if not place.with_suffix(".py").exists() and not place.is_dir()
    }


def test_errors_are_classes_of_the_code() -> None:
    classes = {
        name
        for top in TOPS
        for path in (REPOSITORY / top).rglob("*.py")
        for name in re.findall(r"^class (\w+)", path.read_text(), re.MULTILINE)
    }
    found = named(re.compile(r"\b[A-Z]\w+Error\b"), PAGES)
    assert len(found) > 5
    assert not {one for one in found if one.name not in classes}


def test_settings_are_in_the_example() -> None:
    example = (REPOSITORY / ".env.example").read_text() + (REPOSITORY / "docker/.env.example").read_text()
    found = named(re.compile(r"\bRISK_[A-Z_]+"), PAGES)
    assert len(found) > 20
    # A mark that processes inherit, no setting (docs/adr/0005-processes-carry-a-mark.md).
    assert not {one for one in found if one.name not in example and one.name != "RISK_CLUSTER_OWNER"}


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md"])
def test_every_room_of_jobs_is_named(page):
    rooms = {f"jobs/{path.parent.name}/" for path in (REPOSITORY / "jobs").glob("*/__init__.py")}
    assert rooms <= {one.name for one in named(PATH, [REPOSITORY / page])}


def test_the_table_of_rooms_is_the_one_that_test_rooms_checks() -> None:
    told = {
        Path(code_in(room)[0]).stem: {*code_in(allowed)}
        for room, _, allowed in table_after("CONTRIBUTING.md", "room")
    }
    assert told == MAY_USE


def test_the_table_of_layers_names_every_file() -> None:
    files = {path.name for path in (REPOSITORY / "jobs/encoder/layers").glob("*.py")} - {"__init__.py"}
    rows = table_after("docs/model.md", "file in `jobs/encoder/layers/`")
    assert sorted(code_in(row[0])[0] for row in rows) == sorted(files)


def test_the_table_of_tokens_is_that_of_the_code() -> None:
    meanings = dict(table_after("docs/model.md", "token"))
    assert "padding" in meanings.pop(str(tokens.PAD_TOKEN_ID))
    assert "does not hold" in meanings.pop(str(tokens.UNKNOWN_TOKEN_ID))
    assert "mask" in meanings.pop(str(tokens.MASK_TOKEN_ID))
    assert next(iter(meanings)).startswith(f"{tokens.FIRST_APP_TOKEN_ID}, ")


def test_the_table_of_signatures_is_that_of_the_export() -> None:
    exporter = (REPOSITORY / "jobs/export/saved_model.py").read_text()
    exported = {*re.findall(r"\b(?:score|explain)_(?:app|token)_ids\b", exporter)}
    told = {code_in(row[0])[0] for row in table_after("docs/model.md", "signature")}
    assert told == exported
    extra_assets = {one.name for one in named(re.compile(r"assets\.extra/[\w.]+"), PAGES)}
    assert extra_assets == {tokenizer_files.VOCABULARY_FILE, tokenizer_files.DESCRIPTION_FILE}


def test_the_table_of_artifacts_names_those_of_a_run() -> None:
    told = {name.rstrip("/") for row in table_after("docs/model.md", "artifact") for name in code_in(row[0])}
    assert {names.MODEL_ARTIFACT, names.MODEL_CARD, ENCODERS} <= told


def test_the_table_of_bad_rows_has_the_reasons_in_the_order_of_the_rules() -> None:
    reasons = re.findall(r'when\(.*, "(\w+)"\)$', Path(event_rules.__file__).read_text(), re.MULTILINE)
    told = [code_in(row[0])[0] for row in table_after("docs/data_contract.md", "reason")]
    assert told == reasons


def test_every_case_of_bad_input_names_tests_that_exist() -> None:
    lines = (REPOSITORY / "docs/bad_input.md").read_text().splitlines()
    cases = [line for line in lines if line.startswith("| ") and not line.startswith("| case |")]
    assert len(cases) >= 66
    assert not [case for case in cases if "::" not in case]
    named_tests = [code.split("::") for case in cases for code in code_in(case) if "::" in code]
    assert not [
        (path, name) for path, name in named_tests if f"def {name}(" not in (REPOSITORY / path).read_text()
    ]


def test_the_readme_is_short() -> None:
    assert len((REPOSITORY / "README.md").read_text().splitlines()) < 120


def test_the_page_of_the_model_is_short() -> None:
    assert len((REPOSITORY / "docs/model.md").read_text().split()) < 1_800


def test_every_decision_is_in_the_index_under_its_own_title() -> None:
    folder = REPOSITORY / "docs/adr"
    index = (folder / "README.md").read_text()
    for page in folder.glob("0*.md"):
        number, title = page.read_text().splitlines()[0].removeprefix("# ").split(". ", 1)
        assert f"{number}. [{title}]({page.name})" in index
        assert page.name.startswith(f"{int(number):04}-")


def test_every_table_of_quality_is_in_the_index() -> None:
    folder = REPOSITORY / "docs/quality"
    index = LINK.findall((folder / "README.md").read_text())
    assert {page.name for page in folder.glob("*.md")} - {"README.md"} <= {*index}

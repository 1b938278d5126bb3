"""Files through Spark's own JVM."""

import random

import pytest

from jobs.lake.hadoop_files import PEEK_BYTES, HadoopFiles
from tests.made_up.landing_day import gz, land

LONGEST = 4 * PEEK_BYTES


@pytest.fixture(scope="module")
def files(spark):
    return HadoopFiles(spark)


def lines(*lengths, end=b"\n"):
    return end.join(b"x" * length for length in lengths)


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize(
    ("content", "is_over"),
    [
        (b"", False),
        (lines(*[100] * 20_000), False),
        (lines(*[LONGEST] * 5), False),
        (lines(*[LONGEST] * 5, end=b"\r"), False),
        (lines(LONGEST + 1), True),
        (lines(LONGEST, LONGEST + 1, 10), True),
        (lines(5, *[100] * 20_000, LONGEST + 1), True),
        (lines(LONGEST + 1, 1, end=b"\r"), True),
        (lines(20 * LONGEST, 1), True),
    ],
)
def test_a_line_over_the_limit_is_found_wherever_it_lies(files, tmp_path, content, is_over, packed):
    name = "a.jsonl.gz" if packed else "a.jsonl"
    folder = land(tmp_path, **{name: gz(content) if packed else content})
    assert files.has_line_over(f"{folder}/{name}", LONGEST) is is_over


def test_a_line_over_the_limit_is_found_at_any_offset(files, tmp_path):
    generator = random.Random(0)
    for number in range(30):
        before = [generator.randrange(1, LONGEST) for _ in range(generator.randrange(4))]
        longest = LONGEST + generator.randrange(2)
        folder = land(tmp_path, **{f"{number}.jsonl": lines(*before, longest, 7)})
        assert files.has_line_over(f"{folder}/{number}.jsonl", LONGEST) is (longest > LONGEST)


def test_only_the_start_of_a_file_is_read_unpacked(files, tmp_path):
    folder = land(tmp_path, a__jsonl="abcdef", b__jsonl__gz=gz("abcdef"))
    assert files.read_start(f"{folder}/a.jsonl", 3) == b"abc"
    assert files.read_start(f"{folder}/b.jsonl.gz", 100) == b"abcdef"

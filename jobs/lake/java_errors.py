"""The reason in a Java error's text: its innermost cause, damaged bytes, a lack of room, a refusal of HDFS.

In   the text of Spark's or Py4J's error, with Java's stack of causes
Out  ParquetDecodingException: could not verify page integrity, CRC checksum verification failed

Standard library only: every job's command line reads this.
"""

import re

# A file is damaged if what failed last was a decoder: these packages only turn bytes into rows.
# Anything else (a lost DataNode, an expired token, no memory) may be gone at the next try.
DECODERS = (
    "org.apache.parquet.",
    "shaded.parquet.",
    "org.apache.iceberg.shaded.org.apache.parquet.",
    "org.apache.iceberg.shaded.io.airlift.",
    "org.apache.iceberg.parquet.",
    "org.apache.spark.sql.execution.datasources.parquet.",
    "org.apache.hadoop.io.compress.",
    "org.xerial.snappy.",
    "com.github.luben.zstd.",
    "net.jpountz.",
    "io.airlift.",
    # A file that is shorter than its table or its own footer says.
    "org.apache.iceberg.io.IOUtil.",
    "org.apache.iceberg.io.EagerInputStream.",
)
CAUSE = re.compile(r"^(?:Caused by: |: )?(?:[\w$]+\.)*(?P<error>[\w$]+(?:Exception|Error)\b.*)", re.MULTILINE)
# The first frame that is not of a library of checks, nor of Java itself.
FRAME = re.compile(
    r"^\s+at (?:[\w.@]+/)?(?!(?:java|jdk|sun|org\.apache\.iceberg\.relocated)\.)(?P<method>[\w.$]+)",
    re.MULTILINE,
)
# HDFS's quota, or a disk of a DataNode or of Spark.
NO_SPACE = re.compile(r"\w*QuotaExceededException: [^\n]+|No space left on device")
PARQUET_FILE = re.compile(r"[a-z]+:/\S+?\.parquet")

DENIED_PERMISSION = re.compile(r"Permission denied: user=.*")
REFUSED_TOKEN = re.compile(r"InvalidToken\)?: .*")


class TokenExpiredError(Exception):
    """HDFS does not take a job's delegation token any more. Jobs name it in their last line."""


def java_text(error: BaseException) -> str:
    """Write an error with all causes that Java gives; pyspark's own text may leave them out.

    pyspark shows its `_stackTrace` only by a setting of the session, which may be gone by now.
    """
    return f"{error}\n{getattr(error, '_stackTrace', None) or ''}"


def root_cause(text: str) -> str:
    """Find the innermost cause in a Java stack trace, without its frames."""
    causes = [match["error"] for match in CAUSE.finditer(text)]
    return causes[-1] if causes else text.splitlines()[0]


def is_damage(text: str) -> bool:
    """Return whether the innermost cause in a Java stack trace was raised by a decoder."""
    causes = list(CAUSE.finditer(text))
    if not causes or "OutOfMemoryError" in causes[-1]["error"]:
        return False
    frame = FRAME.search(text, causes[-1].end())
    return frame is not None and frame["method"].startswith(DECODERS)


def find_lack_of_room(text: str) -> str | None:
    """Find Java's words for a full disk or a quota that is used up."""
    found = NO_SPACE.search(text)
    return found[0].strip() if found else None


def find_denied_permission(text: str) -> str | None:
    """Find HDFS's words for an act that its user may not do: who, what, and on which path."""
    found = DENIED_PERMISSION.search(text)
    return found[0].strip() if found else None


def find_refused_token(text: str) -> str | None:
    """Find HDFS's words for a delegation token that it does not take any more."""
    found = REFUSED_TOKEN.search(text)
    return found[0].replace(")", "").strip() if found else None


def find_parquet_file(text: str) -> str | None:
    """Find the first Parquet file that the text names."""
    found = PARQUET_FILE.search(text)
    return found[0] if found else None

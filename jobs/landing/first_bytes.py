"""Check that a text file holds what its name says, by its first bytes.

In   part-1.jsonl and its first 65,536 bytes, unpacked   [{"user_id": "u1", …}, {"user_id": "u2", …}]
Out  nothing, or UnreadableFileError: …/part-1.jsonl holds a JSON array; expected JSON Lines: …

A bad row is rejected alone. But to a reader of lines an array is a single row: a whole file would be lost for
one bad row.
"""

import json
import re

from jobs.landing.files import Fields, LandedFile, UnreadableFileError

FIRST_BYTES = 64 * 1024
BYTE_ORDER_MARK = b"\xef\xbb\xbf"
SIGNATURES = {
    "gzip": rb"\x1f\x8b",
    "Parquet": rb"PAR1|PARE",
    "zip (an Excel file is one, too)": rb"PK\x03\x04",
    "an old Excel file": rb"\xd0\xcf\x11\xe0",
    "zstd": rb"\x28\xb5\x2f\xfd",
    "xz": rb"\xfd7zXZ",
    "bzip2": rb"BZh\d1AY&SY",
    "lz4": rb"\x04\x22\x4d\x18",
    "snappy": rb"\xff\x06\x00\x00sNaPpY",
    "ORC": rb"ORC[^\w\s,;]",
    "Avro": rb"Obj\x01",
    # Without a byte order mark, too: what a header or JSON starts with is ASCII.
    "UTF-16 or UTF-32 text": rb"\xff\xfe|\xfe\xff|\x00|.\x00",
}
EXPECTED = {
    "jsonl": "JSON Lines: UTF-8, one object per line",
    "csv": "CSV: UTF-8, commas, a header line",
}
JSON_SPACE = " \t\r\n"


def check_first_bytes(file: LandedFile, start: bytes, fields: Fields) -> None:
    """Check the first bytes of a text file, unpacked.

    Raises:
        UnreadableFileError: they are those of another format.
    """
    found = other_format(start)
    if found is None and file.format == "jsonl":
        found = other_text(start.removeprefix(BYTE_ORDER_MARK).decode(errors="replace"), fields)
    if found is not None:
        raise UnreadableFileError(f"{file.uri} holds {found}; expected {EXPECTED[file.format]}")


def other_format(start: bytes) -> str | None:
    """Name the format whose files start with these bytes; None if it may be UTF-8 text."""
    return next((name for name, bytes_ in SIGNATURES.items() if re.match(bytes_, start, re.DOTALL)), None)


def other_text(text: str, fields: Fields) -> str | None:
    """Name what stands in place of JSON Lines; None if nothing does."""
    text = text.lstrip(JSON_SPACE)
    first_line = re.split(r"[\r\n]", text, maxsplit=1)[0]
    if text.startswith("["):
        return "a JSON array"
    if not text.startswith("{"):
        is_header = all(name in re.split(r"[^\w]+", first_line) for name in fields.required)
        return "CSV" if is_header else None
    end = end_of_object(text)
    if end is not None and end > len(first_line):
        return "JSON objects over several lines"
    objects, rest = 0, first_line
    while rest.startswith("{") and objects < 3:
        objects += 1
        rest = rest[end_of_object(rest) or len(rest) :].lstrip(" \t,")
    # Two objects before further lines are a lost line break: one bad row.
    is_alone = not text[len(first_line) :].strip(JSON_SPACE)
    return "several JSON objects on one line" if objects == 3 or (objects == 2 and is_alone) else None


def end_of_object(text: str) -> int | None:
    """Find the end of the JSON object that `text` begins with; None if it is cut off or damaged."""
    try:
        return json.JSONDecoder().raw_decode(text)[1]
    except (ValueError, RecursionError):
        return None

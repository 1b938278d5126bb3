"""Schemas of frames that tests make by hand."""

SESSIONS = (
    "user_id STRING, session_index INT, started_at TIMESTAMP, ended_at TIMESTAMP, "
    "app_ids ARRAY<STRING>, event_times ARRAY<TIMESTAMP>, ds DATE"
)
LABELS = "user_id STRING, label INT, as_of TIMESTAMP"

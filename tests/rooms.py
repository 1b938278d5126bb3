"""The rooms of jobs/, the rooms that each may import, and the scripts beside them."""

MAY_USE = {
    "errors": set(),
    "encoder": set(),
    "lake": {"errors"},
    "landing": {"errors", "lake"},
    "data_check": {"errors", "lake", "landing", "training_set"},
    "sequences": {"errors", "encoder"},
    "training_set": {"errors", "sequences"},
    "evaluation": {"sequences", "training_set"},
    "export": {"encoder", "sequences"},
    "runs": {"evaluation", "training_set"},
    "training": {"errors", "encoder", "sequences", "training_set", "evaluation", "export", "runs"},
    "scoring": {"errors", "encoder", "sequences"},
    "comparison": {
        "errors",
        "encoder",
        "sequences",
        "training_set",
        "evaluation",
        "runs",
        "scoring",
    },
}
SCRIPTS = {
    "audit_scores",
    "build_sequences",
    "build_training_set",
    "check_data",
    "compare_models",
    "explain_user",
    "extract_sessions",
    "score_users",
    "train_encoder",
}

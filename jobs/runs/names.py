"""Names of figures and files in MLflow that trainings, comparisons and the gate share.

model.keras  model.onnx  saved_model/  model_card.md  pictures/*.png  tables/*.csv
encoders/all_users.keras  encoders/fold_1.keras  …  encoders/trained_on.parquet
"""

MODEL_ARTIFACT = "model.keras"
MODEL_CARD = "model_card.md"
OF_ALL_USERS = "all_users.keras"

# Members of the model that scores.
ENCODER, BAG_OF_APPS, NGRAMS = "encoder", "bag of apps", "n-grams"


def of_fold(number: int | str) -> str:
    """File of a fold's encoder."""
    return f"fold_{number}.keras"


def penalty_parameter(member: str) -> str:
    """Parameter of a training run that holds a linear member's `C`.

    >>> penalty_parameter(BAG_OF_APPS)
    'c_bag_of_apps'
    """
    return f"c_{snake_case(member)}"


def snake_case(name: str) -> str:
    """A model's name as part of a metric's or a layer's name, which have no spaces.

    >>> snake_case("3-grams baseline")
    '3_grams_baseline'
    """
    return name.replace(" ", "_").replace("-", "_")

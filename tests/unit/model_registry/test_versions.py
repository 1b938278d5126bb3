"""The values that name a model version, and their JSON."""

import json

import pytest

from model_registry.errors import InvalidModelVersionError
from model_registry.versions import ModelVersion, PinnedModel

SHA256 = "0123456789ab" + "c" * 52
URI = "hdfs://127.0.0.1:8020/models/risk_encoder/risk_encoder-v3-0123456789ab"


def test_the_folder_name_holds_name_version_and_content():
    assert ModelVersion("risk_encoder", 3, SHA256).dirname == "risk_encoder-v3-0123456789ab"


def test_a_pinned_model_survives_json():
    pinned = PinnedModel("risk_encoder", 3, SHA256, URI)
    assert PinnedModel.from_json(pinned.to_json()) == pinned


def test_the_json_is_one_line_with_the_four_fields():
    text = PinnedModel("risk_encoder", 3, SHA256, URI).to_json()
    assert "\n" not in text
    assert json.loads(text) == {"name": "risk_encoder", "version": 3, "sha256": SHA256, "uri": URI}


@pytest.mark.parametrize("text", ["", "None", "[]", "{}", '{"name": "risk_encoder", "version": 3}'])
def test_text_that_pin_did_not_print_is_refused(text):
    with pytest.raises(InvalidModelVersionError, match="pin"):
        PinnedModel.from_json(text)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", "risk encoder"),
        ("name", "../risk"),
        ("name", ""),
        ("name", None),
        ("version", 0),
        ("version", "3"),
        ("version", True),
        ("sha256", SHA256[:12]),
        ("sha256", SHA256.upper()),
        # SparkFiles would not find the folder by the name that the jobs look for.
        ("uri", "hdfs://127.0.0.1:8020/models/risk_encoder/latest"),
        ("uri", None),
    ],
)
def test_a_field_that_names_no_version_is_refused(field, value):
    fields = {"name": "risk_encoder", "version": 3, "sha256": SHA256, "uri": URI, field: value}
    with pytest.raises(InvalidModelVersionError, match="expected"):
        PinnedModel.from_json(json.dumps(fields))

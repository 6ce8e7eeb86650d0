"""The schema of a workbench file is closed, describes each key, and has exactly the keys that the templates use."""

import json
import re

import jsonschema
import pytest

from tests.chart import keys as job_keys
from tests.chart.keys import resolve
from tests.chart.rendering import Refused
from tests.chart.test_schema import LONGEST_SENTENCE, nodes, patterns, sentences
from tests.chart.workbench.keys import CHANGES, LEAVES, files
from tests.chart.workbench.rendering import CHART, SCHEMA, objects, rendered
from tests.conventions.test_messages import IMPERATIVE, hints
from tfd.jobfile.schema import defaults, schema_errors

NODES = dict(nodes(SCHEMA))
PROPERTIES = {where: node for where, node in NODES.items() if where.split("/")[-2:-1] == ["properties"]}


def test_schema_is_valid() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


@pytest.mark.parametrize("where", [where for where, node in NODES.items() if node.get("type") == "object"])
def test_object_is_closed(where: str) -> None:
    node = NODES[where]
    if "properties" in node:
        assert node["additionalProperties"] is False
    else:
        assert "maxProperties" in node
        assert "patternProperties" in node or ("propertyNames" in node and node["additionalProperties"])


@pytest.mark.parametrize("where", PROPERTIES)
def test_key_has_a_description_a_class_and_a_hint(where: str) -> None:
    node = PROPERTIES[where]
    assert node["x-class"] in ("identity", "immutable", "mutable", "metadata")
    assert resolve(node, SCHEMA)["x-hint"]
    for sentence in sentences(node["description"]):
        assert re.fullmatch(r"[A-Z0-9`w].*\.", sentence), sentence
        assert len(sentence.split()) <= LONGEST_SENTENCE, sentence


def test_hints_are_imperative_sentences() -> None:
    assert [hint for hint in hints(SCHEMA) if not IMPERATIVE.fullmatch(hint)] == []


def test_each_pattern_has_a_length_and_its_rule_in_words() -> None:
    found = list(patterns(SCHEMA))
    assert found
    assert [node["pattern"] for node in found if "maxLength" not in node] == []
    assert [node["pattern"] for node in found if not re.fullmatch(r"[^\^\\]+[^.]", node.get("x-rule", ""))] == []


def test_definitions_are_those_of_the_job_file_and_used() -> None:
    """Two charts cannot share a schema, because Helm reads that of the chart alone."""
    definitions = SCHEMA["$defs"]
    assert definitions == {name: job_keys.SCHEMA["$defs"][name] for name in definitions}
    text = json.dumps(SCHEMA)
    # The review reads the rule of the name.
    assert [name for name in definitions if f'"#/$defs/{name}"' not in text] == ["runName"]


def test_keys_of_a_role_have_the_rules_of_a_role() -> None:
    chief = job_keys.SCHEMA["properties"]["chief"]["properties"]
    for name in ("resources", "gpus", "shm", "nodeSelector", "tolerations"):
        assert SCHEMA["properties"][name]["$ref"] == chief[name]["$ref"]


def test_defaults_are_valid() -> None:
    assert list(schema_errors({}, CHART)) == []


def test_values_yaml_shows_every_key_at_least_as_a_comment() -> None:
    text = (CHART / "values.yaml").read_text()
    names = {part.removesuffix("[]") for key in LEAVES for part in key.split(".") if "tolerations[]" not in key}
    assert [name for name in sorted(names) if not re.search(rf"\b{name}\b", text)] == []


def test_every_key_has_a_change() -> None:
    assert CHANGES.keys() == LEAVES.keys()


@pytest.mark.parametrize("key", CHANGES)
def test_declared_key_is_used(key: str) -> None:
    before, after = files(key)
    before_text = rendered(before)
    try:
        assert rendered(after) != before_text
    except Refused as refusal:
        assert f"tf-distributed: {key}: got " in str(refusal)


@pytest.mark.parametrize("key", CHANGES)
def test_class_says_whether_a_change_needs_a_higher_session(key: str) -> None:
    """Kubernetes refuses a change of the pod template of a Job."""
    texts = []
    for file in files(key):
        try:
            found = objects(file)
        except Refused:
            return
        texts.append([each["spec"]["template"] for each in found if each["kind"] == "Job"])
    immutable = LEAVES[key].get("x-class") == "immutable"
    # Kueue reads the labels of the Job itself, and a name is that of another Job.
    assert (texts[0] != texts[1]) == immutable or key.startswith(("scheduling.", "tolerations", "network"))


def test_null_is_refused_wherever_there_is_a_default() -> None:
    for name in defaults(CHART):
        assert (name,) in {found.key for found in schema_errors({name: None}, CHART)}

"""A secret at any place of a job file is refused, and no output of the review shows it."""

import base64
import json
import random
import string
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.review.cases import MERGED
from tests.unit.review.repositories import RUN, Case, changed, review_of
from tfd.cli import main
from tfd.jobfile import helm_yaml
from tfd.review.analysis.pull_request import PullRequestReview
from tfd.review.analysis.secrets import find_secrets
from tfd.review.output.comment import comment, lines
from tfd.review.output.json_report import as_json
from tfd.review.output.redaction import Redactor

LETTERS = string.ascii_letters + string.digits
HOLE = "HOLE"
# Files with a secret at each place where a stranger may write a text.
PLACES = {
    "comment": f"{RUN}# remember HOLE\n",
    "comment-after-a-value": changed(RUN, ("steps: 20000", "steps: 20000  # HOLE")),
    "comment-of-a-refused-file": f"{RUN}# HOLE\nenvv: []\n",
    "environment": f"{RUN}env: [{{name: A, value: HOLE}}]\n",
    "environment-as-a-mapping": f"{RUN}env: {{A: HOLE}}\n",
    "variable": f"{RUN}env: [{{name: HOLE, value: x}}]\n",
    "misspelled-environment": f"{RUN}envv: [{{name: A, value: HOLE}}]\n",
    "unknown-block": f"{RUN}secrets: {{a: {{b: [HOLE]}}}}\n",
    "unknown-key": f"{RUN}HOLE: 1\n",
    "suggestion": changed(RUN, ("  steps: 20000", "  step: 20000 # HOLE")),
    "command": f"{RUN}command: [python, train.py, HOLE]\n",
    "command-as-a-text": f"{RUN}command: python train.py HOLE\n",
    "cut-command": f"{RUN}command: python {60 * 'x'} HOLE\n",
    "cut-description": f"{RUN}description: [{45 * 'x'} HOLE]\n",
    "argument": f"{RUN}args: ['--', 'x.py', '--key=HOLE']\n",
    "wrong-argument": f"{RUN}args: [[HOLE]]\n",
    "file": f"{RUN}code: {{files: {{HOLE: x}}}}\n",
    "text-of-a-file": f"{RUN}code: {{files: {{a.py: 'KEY = \"HOLE\"'}}}}\n",
    "description": f"{RUN}description: log in with HOLE\n",
    "owner": f"{RUN}owner: HOLE\n",
    "label": f"{RUN}labels: {{a: HOLE}}\n",
    "name-of-a-label": f"{RUN}labels: {{HOLE: a}}\n",
    "hyperparameter": changed(RUN, ("learning_rate: 1e-3", "key: HOLE")),
    "image": "image: registry.example.com/HOLE\n",
    "chart": "chartVersion: HOLE\nstorage: {claim: runs}\n",
    "state": f"{RUN}state: HOLE\n",
    "git": f"{RUN}code: {{git: {{repository: 'https://git.example.com/HOLE', commit: {40 * 'a'}}}}}\n",
    "address": f"{RUN}description: 'https://ada:HOLE@git.example.com'\n",
    "invalid-yaml": "env: [{name: A, value: HOLE}\nstorage: [\n",
    "alias": f"{RUN}owner: *HOLE\n",
    "list": "- HOLE\n",
    "text": "HOLE\n",
    "json": f'{RUN}env: [{{name: A, value: \'{{"a": "HOLE"}}\'}}]\n',
}
# Files with a secret without the form of one.
NAMED_PLACES = {
    "variable": f"{RUN}env: [{{name: DB_PASSWORD, value: HOLE}}]\n",
    "number": f"{RUN}env: [{{name: DB_PASSWORD, value: NUMBER}}]\n",
    "mapping": f"{RUN}env: {{DB_PASSWORD: HOLE}}\n",
    "misspelled": f"{RUN}envv: [{{name: API_KEY, value: HOLE}}]\n",
    "block": f"{RUN}other: {{a: [{{dbPassword: HOLE}}]}}\n",
    "number-in-a-block": f"{RUN}other: {{api-key: NUMBER}}\n",
    "hyperparameter": changed(RUN, ("learning_rate: 1e-3", "password: HOLE")),
    "option": f"{RUN}args: ['--', 'x.py', '--password=HOLE']\n",
    "option-of-two-words": f"{RUN}args: ['--', 'x.py', '--password', HOLE]\n",
    "shell": f"{RUN}command: [sh, -c, 'API_TOKEN=HOLE1 python x.py']\n",
    "option-in-a-script": f"{RUN}command: [sh, -c, 'cd /x && python x.py --password HOLE --steps 5']\n",
    "quoted-option-in-a-script": f"{RUN}command: [sh, -c, 'python x.py --api-key \"HOLE\"']\n",
    "wrong-command": f"{RUN}command: --password=HOLE\n",
    "query": f"{RUN}data: {{uri: 'https://example.com/x?password=HOLE'}}\n",
    "json": f'{RUN}env: [{{name: A, value: \'{{"password": "HOLE"}}\'}}]\n',
    "source": f"{RUN}code: {{files: {{a.py: 'password = \"HOLE\"'}}}}\n",
    "comment": f"{RUN}# password: HOLE\n",
    "invalid-yaml": "env: [{name: DB_PASSWORD, value: HOLE}\nstorage: [\n",
    "invalid-yaml-of-two-lines": "env:\n- name: DB_PASSWORD\n  value: HOLE\nstorage: [\n",
    "invalid-mapping": "password: HOLE\nstorage: [\n",
    "base64": f"{RUN}env: [{{name: A, value: BASE64}}]\n",
}
FALSE_ALARMS = [
    "trainer: {hyperparameters: {pad_token: '<pad>', num_token_types: 2, token_dropout: 0.1, max_tokens: 512}}",
    "code: {git: {repository: 'https://git.example.com/Ada/My-Very-Long-Name-2026', tokenSecret: {name: a, key: b}}}",
    "code: {files: {a.py: 'bos_token = \"<s>\"\\nTOKEN = os.environ[\"TOKEN\"]\\ndef f(password: str, secret=0): 1'}}",
    "command: [sh, -c, 'API_TOKEN=$TOKEN python x.py --tokenizer=bert-base']",
    "command: [sh, -c, 'python x.py --password \"$PW\" --api-key $KEY --secret-key --steps 5 --token $(cat /t)']",
    "description: 'The script takes --password from the environment'",
    "description: 'The token: see the wiki of the team'",
    "imagePullSecrets: [{name: registry}]",
    "mounts: [{at: /keys, secret: dataset-keys-1}, {at: /secret, configMap: password-rules-2}]",
    "serviceAccountName: access-key-rotation",
    "retries: 5  # password: ask Ada",
]  # fmt: skip


def alnum(size: int, letters: str = LETTERS) -> st.SearchStrategy[str]:
    return st.text(letters, min_size=size, max_size=size)


TOKENS = st.one_of(
    alnum(36).map("ghp_{}".format),
    alnum(16, string.ascii_uppercase + "234567").map("AKIA{}".format),
    alnum(28).map("sk_live_{}".format),
    alnum(34).map("hf_{}".format),
    st.randoms(use_true_random=False).map(lambda source: "aB3" + "".join(source.sample(LETTERS, 37))),
)


@settings(deadline=None)
@given(st.sampled_from(sorted(PLACES)), TOKENS)
def test_token_at_any_place_is_found_and_hidden(place: str, token: str) -> None:
    text = PLACES[place].replace(HOLE, token)
    try:
        values = helm_yaml.load(text).value
    except helm_yaml.YamlError:
        values = {}
    found = list(find_secrets(values if isinstance(values, dict) else {}, text))
    assert found
    assert token not in Redactor(tuple(each.text for each in found)).hide(text)


@settings(deadline=None)
@given(st.text(), TOKENS, st.text())
def test_token_in_any_text_is_hidden_although_no_file_has_it(before: str, token: str, after: str) -> None:
    assert token not in Redactor().hide(f"{before} {token} {after}")


@pytest.mark.parametrize("text", FALSE_ALARMS)
def test_what_only_sounds_like_a_secret_is_not_refused(text: str) -> None:
    assert list(find_secrets(helm_yaml.load(text).value, text)) == []


def outputs(found: PullRequestReview) -> str:
    """Return everything that the review prints in all its formats."""
    return "\n".join([*lines(found), comment(found), json.dumps(as_json(found), ensure_ascii=False)])


def test_no_output_of_the_review_shows_a_secret(tmp_path: Path) -> None:
    """Every place has its own secret, so a failure names the place."""
    source = random.Random(7)
    secrets: dict[str, str] = {}
    files = {}
    for place, text in PLACES.items():
        secrets[place] = secret = f"ghp_{''.join(source.choices(LETTERS, k=36))}"
        files[f"jobs/vision/a-{place}.yaml"] = text.replace(HOLE, secret)
    for place, text in NAMED_PLACES.items():
        word, number = "".join(source.sample(string.ascii_lowercase, 9)), str(source.randrange(10**8, 10**9))
        encoded = base64.b64encode(json.dumps({"password": word}).encode()).decode()
        secrets[f"named-{place}"] = number if "NUMBER" in text else encoded if "BASE64" in text else word
        filled = text.replace(HOLE, word).replace("NUMBER", number).replace("BASE64", encoded)
        files[f"jobs/vision/n-{place}.yaml"] = filled
    case = Case(files, MERGED)
    found = review_of(tmp_path / "r", case)
    refused = {finding.path for finding in found.all_findings if finding.rule == "literalSecrets"}
    assert refused == set(files)
    printed = outputs(found)
    assert {place: secret for place, secret in secrets.items() if secret in printed} == {}
    assert "[hidden]" in printed


def test_wrong_value_for_a_program_is_named_by_its_type(tmp_path: Path) -> None:
    files = {
        "jobs/vision/env.yaml": f"{RUN}env: [{{name: A, value: 4711}}]\n",
        "jobs/vision/args.yaml": f"{RUN}args: swordfish\n",
        "jobs/vision/command.yaml": f"{RUN}command: [python, {{a: swordfish}}]\n",
    }
    found = review_of(tmp_path / "r", Case(files, MERGED))
    printed = "\n".join([*lines(found), comment(found), json.dumps(as_json(found)["findings"])])
    assert "4711" not in printed
    assert "swordfish" not in printed
    for text in ("env[0].value: got a number; ", "args: got a string; ", "command[1]: got a mapping; "):
        assert text in printed


def test_secret_in_the_name_of_a_file_is_hidden(tmp_path: Path) -> None:
    token = f"ghp_{36 * 'a'}"
    folder = tmp_path / "r"
    assert token not in outputs(
        review_of(folder, Case({f"jobs/vision/{token}.yaml": RUN, f"docs/{token}": "x"}, MERGED))
    )
    assert (
        token
        not in CliRunner().invoke(main, ["review", "--base", token, "--head", "head", "--repo", str(folder)]).output
    )

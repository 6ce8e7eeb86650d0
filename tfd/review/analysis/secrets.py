"""Finds values that look like a secret in a job file.

detect-secrets recognizes the tokens of known services and measures randomness. Its detectors are called directly: they
run in this process, use no network and read no settings or `allowlist` comments, which a pull request could contain.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from detect_secrets.plugins.aws import AWSKeyDetector
from detect_secrets.plugins.azure_storage_key import AzureStorageKeyDetector
from detect_secrets.plugins.base import RegexBasedDetector
from detect_secrets.plugins.basic_auth import BasicAuthDetector
from detect_secrets.plugins.discord import DiscordBotTokenDetector
from detect_secrets.plugins.github_token import GitHubTokenDetector
from detect_secrets.plugins.gitlab_token import GitLabTokenDetector
from detect_secrets.plugins.high_entropy_strings import Base64HighEntropyString
from detect_secrets.plugins.jwt import JwtTokenDetector
from detect_secrets.plugins.npm import NpmDetector
from detect_secrets.plugins.openai import OpenAIDetector
from detect_secrets.plugins.private_key import PrivateKeyDetector
from detect_secrets.plugins.pypi_token import PypiTokenDetector
from detect_secrets.plugins.sendgrid import SendGridDetector
from detect_secrets.plugins.slack import SlackDetector
from detect_secrets.plugins.square_oauth import SquareOAuthDetector
from detect_secrets.plugins.stripe import StripeDetector
from detect_secrets.plugins.telegram_token import TelegramBotTokenDetector
from detect_secrets.plugins.twilio import TwilioKeyDetector

from tfd.jobfile.helm_yaml import Key

_SECRET_NAME = re.compile(
    r"(?i)(^|_)(TOKEN|SECRET|PASSWORD|PASSWD|PASSPHRASE|CREDENTIALS?|APIKEY|ACCESSKEY|PRIVATEKEY)(_|$)"
    r"|(API|ACCESS|SECRET|PRIVATE|SIGNING|ENCRYPTION)_?KEY"
)


class _MoreTokens(RegexBasedDetector):
    """Tokens that detect-secrets 1.5 does not recognize."""

    secret_type = "Other token"  # noqa: S105 - a title
    denylist = (
        re.compile(r"hf_[A-Za-z0-9]{30,}"),
        re.compile(r"github_pat_\w{40,}"),
        re.compile(r"AIza[\w-]{35}"),
        re.compile(r"xox[abprs]-[\w-]{10,}"),
        re.compile(r"BEGIN [A-Z ]*PRIVATE KEY"),
    )


_DETECTORS: tuple[RegexBasedDetector, ...] = (
    AWSKeyDetector(), AzureStorageKeyDetector(), BasicAuthDetector(), DiscordBotTokenDetector(), GitHubTokenDetector(),
    GitLabTokenDetector(), JwtTokenDetector(), NpmDetector(), OpenAIDetector(), PrivateKeyDetector(),
    PypiTokenDetector(), SendGridDetector(), SlackDetector(), SquareOAuthDetector(), StripeDetector(),
    TelegramBotTokenDetector(), TwilioKeyDetector(), _MoreTokens(),
)  # fmt: skip
# Random base64 of 24 or more characters has over 4 bits per character. A path or a long word rarely has.
_RANDOM = Base64HighEntropyString(limit=4.0)
_WORD = re.compile(r"[A-Za-z0-9+_=-]{24,}")
# The keys whose values are checked; the names of variables are checked as well.
_TOP_KEYS = ("env", "command", "args", "code", "trainer", "owner", "description", "labels", "data", "storage")


@dataclass(frozen=True)
class Secret:
    """A value that must not be in git, and why it looks like a secret. No output shows the value."""

    key: Key
    why: str
    """A reason, with `{}` for the name of the variable if the name is the reason."""
    text: str
    name: str = ""


def find_secrets(values: dict[str, Any]) -> Iterator[Secret]:
    """Yield the values of a job file that look like a secret."""
    for index, variable in enumerate(_mappings(values.get("env"))):
        name, text = variable.get("name"), variable.get("value")
        if isinstance(name, str) and isinstance(text, str) and text and _SECRET_NAME.search(name):
            yield Secret(("env", index, "value"), "the name of the variable is {}", text, name)
    for top in _TOP_KEYS:
        for key, text in _strings(values.get(top), (top,)):
            if tokens := list(_tokens(text)):
                yield from (Secret(key, "it is a token of a known kind", token) for token in tokens)
            elif key[:2] != ("code", "git"):
                yield from (Secret(key, "it looks random", word) for word in _WORD.findall(text) if _is_random(word))


def _tokens(text: str) -> Iterator[str]:
    for detector in _DETECTORS:
        for match in (match for pattern in detector.denylist for match in pattern.finditer(text)):
            if any(detector.analyze_string(match[0])):  # Some detectors check more than the pattern.
                # Only the first line of a private key is recognized, and only the first part of a signed token.
                end = re.compile(r"[\w.+/=-]*").match(text, match.end())
                yield text if "PRIVATE KEY" in match[0] else match[0] + (end[0] if end else "")


def _is_random(word: str) -> bool:
    kinds = ("[a-z]", "[A-Z]", "[0-9]")
    return (
        all(re.search(kind, word) for kind in kinds) and _RANDOM.calculate_shannon_entropy(word) > _RANDOM.entropy_limit
    )


def _strings(value: Any, key: Key) -> Iterator[tuple[Key, str]]:  # noqa: ANN401 - any value of a job file
    if isinstance(value, str):
        yield key, value
    elif isinstance(value, dict):
        for name, child in value.items():
            yield from _strings(child, (*key, name))
    elif isinstance(value, list):
        for index, child in enumerate(value):
            yield from _strings(child, (*key, index))


def _mappings(value: Any) -> list[dict[str, Any]]:  # noqa: ANN401 - not checked by the schema yet
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []

"""Finds tokens of known services and random words in a text.

detect-secrets recognizes the tokens and measures randomness. Its detectors are called directly: they run in this
process, use no network and read no settings or `allowlist` comments, which a pull request could contain.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

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
from detect_secrets.plugins.private_key import PrivateKeyDetector
from detect_secrets.plugins.pypi_token import PypiTokenDetector
from detect_secrets.plugins.sendgrid import SendGridDetector
from detect_secrets.plugins.slack import SlackDetector
from detect_secrets.plugins.square_oauth import SquareOAuthDetector
from detect_secrets.plugins.stripe import StripeDetector
from detect_secrets.plugins.telegram_token import TelegramBotTokenDetector
from detect_secrets.plugins.twilio import TwilioKeyDetector

_REST = re.compile(r"[\w.+/=-]*")
_WINDOW, _OVERLAP = 4096, 512
_MOST_TOKENS = 200
# Random base64 of 24 or more characters has over 4 bits per character. A path or a long word rarely has.
_RANDOM = Base64HighEntropyString(limit=4.0)


class _MoreTokens(RegexBasedDetector):
    """Tokens that detect-secrets 1.5 does not recognize."""

    secret_type = "Other token"  # noqa: S105 - a title
    denylist = (
        re.compile(r"hf_[A-Za-z0-9]{30,}"),
        re.compile(r"github_pat_\w{40,}"),
        re.compile(r"AIza[\w-]{35}"),
        re.compile(r"xox[abprs]-[\w-]{10,}"),
        # That of detect-secrets takes quadratic time.
        re.compile(r"sk-[\w-]{20,160}?T3BlbkFJ[A-Za-z0-9]{20}"),
        re.compile(r"BEGIN [A-Z ]{0,40}PRIVATE KEY"),
    )


_DETECTORS: tuple[RegexBasedDetector, ...] = (
    AWSKeyDetector(), AzureStorageKeyDetector(), BasicAuthDetector(), DiscordBotTokenDetector(), GitHubTokenDetector(),
    GitLabTokenDetector(), JwtTokenDetector(), NpmDetector(), PrivateKeyDetector(),
    PypiTokenDetector(), SendGridDetector(), SlackDetector(), SquareOAuthDetector(), StripeDetector(),
    TelegramBotTokenDetector(), TwilioKeyDetector(), _MoreTokens(),
)  # fmt: skip


def tokens(text: str) -> Iterator[str]:
    """Yield the tokens of known kinds in a text; the whole text for a private key or for very many tokens."""
    found = 0
    for start, window in _windows(text):
        for detector in _DETECTORS:
            for match in (match for pattern in detector.denylist for match in pattern.finditer(window)):
                found += 1
                if found > _MOST_TOKENS:
                    yield text
                    return
                if any(detector.analyze_string(match[0])):  # Some detectors check more than the pattern.
                    # Only the first line of a private key is recognized, and only the first part of a signed token.
                    end = _REST.match(text, start + match.end())
                    yield text if "PRIVATE KEY" in match[0] else match[0] + (end[0] if end else "")


def _windows(text: str) -> Iterator[tuple[int, str]]:
    """Yield the text in overlapping parts with their places, because some patterns take quadratic time."""
    for start in range(0, max(1, len(text) - _OVERLAP), _WINDOW - _OVERLAP):
        yield start, text[start : start + _WINDOW]


def is_random(word: str) -> bool:
    """Return whether a word has letters of both cases and digits, as a random key has."""
    kinds = ("[a-z]", "[A-Z]", "[0-9]")
    return (
        all(re.search(kind, word) for kind in kinds) and _RANDOM.calculate_shannon_entropy(word) > _RANDOM.entropy_limit
    )

"""The page of troubleshooting quotes messages that exist."""

import re

from tests.conventions.repository import ROOT, tracked

PAGE = (ROOT / "docs" / "troubleshooting.md").read_text(encoding="utf-8")
# Words of the scheduler, the kubelet, the container runtime, Kueue and the kernel.
FOREIGN = {
    "Insufficient nvidia.com/gpu",
    "insufficient unused quota",
    "> maximum capacity",
    "violates PodSecurity",
    "ErrImagePull",
    "ImagePullBackOff",
    "FailedMount",
    "failed to prepare subPath",
    "OOMKilled",
    '"sh": executable file not found',
    'Usage of EmptyDir volume "mount-N" exceeds the limit',
}
FILLED_IN = re.compile(r"\.\.\.|\b[NM]\b|ROLE|RUN")
"""What stands for the parts of a message that a program fills in."""


def test_each_message_of_a_symptom_is_in_the_code() -> None:
    symptoms = [line.split("|")[1] for line in PAGE.splitlines() if line.startswith("| ")]
    quoted = {text for symptom in symptoms for text in re.findall(r"`([^`]+)`", symptom)}
    names = [name for name in tracked() if re.match(r"(trainer|tfd|charts)/.*\.(py|tpl|sh)$", name)]
    code = "\n".join((ROOT / name).read_text(encoding="utf-8") for name in names)
    quoted -= {"tfd check", "got ...; expected ..."}
    own = {text for text in quoted if all(part.strip() in code for part in FILLED_IN.split(text))}
    assert "the storage is full" in own
    assert quoted - own == FOREIGN

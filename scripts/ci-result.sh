#!/usr/bin/env bash
# Posts the result of a run as a comment on the pull request that added its job file.
# Environment: TEAM, RUN, STATE, MESSAGE, which are untrusted; GITHUB_REPOSITORY, GH_TOKEN.
set -euo pipefail
cd "$(dirname "$0")/.."
export PATH=$PWD/.venv/bin:$PATH
[[ $TEAM/$RUN =~ ^[a-z0-9][-a-z0-9]*/[a-z][-a-z0-9]*$ ]] || {
  echo "TEAM/RUN: got an invalid run name; expected lower-case letters, digits and -. Check the sender of the event." >&2
  exit 1
}
added=$(git log -1 --diff-filter=A --format=%H -- "jobs/$TEAM/$RUN.yaml")
[ -n "$added" ] || { echo "result: no commit added jobs/$TEAM/$RUN.yaml" >&2; exit 1; }
number=$(gh api "repos/$GITHUB_REPOSITORY/commits/$added/pulls" --jq '.[0].number // empty')
[ -n "$number" ] || { echo "result: commit $added has no pull request; no comment is posted" >&2; exit 0; }
python scripts/result_comment.py | gh api --silent "repos/$GITHUB_REPOSITORY/issues/$number/comments" -F body=@-

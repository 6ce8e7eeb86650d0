#!/usr/bin/env bash
# Puts the result of a run on the pull request that added its job file.
# Environment: TEAM, RUN, STATE, MESSAGE, all of them a stranger's text; GITHUB_REPOSITORY, GH_TOKEN.
set -euo pipefail
cd "$(dirname "$0")/.."
export PATH=$PWD/.venv/bin:$PATH
[[ $TEAM/$RUN =~ ^[a-z0-9][-a-z0-9]*/[a-z][-a-z0-9]*$ ]] || { echo "result: got no name of a run" >&2; exit 1; }
added=$(git log -1 --diff-filter=A --format=%H -- "jobs/$TEAM/$RUN.yaml")
[ -n "$added" ] || { echo "result: jobs/$TEAM/$RUN.yaml was never added" >&2; exit 1; }
number=$(gh api "repos/$GITHUB_REPOSITORY/commits/$added/pulls" --jq '.[0].number // empty')
[ -n "$number" ] || { echo "result: $added came without a pull request" >&2; exit 0; }
python scripts/result_comment.py | gh api --silent "repos/$GITHUB_REPOSITORY/issues/$number/comments" -F body=@-

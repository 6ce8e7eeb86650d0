#!/usr/bin/env bash
# Writes `number` to GITHUB_OUTPUT: the open pull request into BRANCH whose newest commit is HEAD_COMMIT, or nothing.
# Environment: BRANCH, the default branch; HEAD_COMMIT, HEAD_OWNER, HEAD_BRANCH of a pull request; GITHUB_REPOSITORY, GH_TOKEN.
set -euo pipefail
# GitHub allows one open pull request for each pair of head and base. A commit alone may belong to several.
number=$(gh api -X GET "repos/$GITHUB_REPOSITORY/pulls" -f state=open -f "base=$BRANCH" -f "head=$HEAD_OWNER:$HEAD_BRANCH" \
  --jq '[.[] | select(.head.sha == env.HEAD_COMMIT and .base.ref == env.BRANCH) | .number][0] // empty')
[ -n "$number" ] || echo "find: $HEAD_COMMIT is not the newest commit of an open pull request into $BRANCH; no comment is posted" >&2
echo "number=$number" >>"$GITHUB_OUTPUT"

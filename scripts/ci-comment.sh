#!/usr/bin/env bash
# Posts the card of a review as one comment that is replaced each time. The card is data, its pull request is looked up.
# Environment: RUN_ID of the review workflow; HEAD_COMMIT, HEAD_OWNER, HEAD_BRANCH that it ran for; GITHUB_REPOSITORY, GH_TOKEN.
set -euo pipefail
marker='<!-- tfd review -->'
number=$(gh api -X GET "repos/$GITHUB_REPOSITORY/pulls" -f state=open -f "head=$HEAD_OWNER:$HEAD_BRANCH" \
  --jq '[.[] | select(.head.sha == env.HEAD_COMMIT) | .number][0] // empty')
[ -n "$number" ] || { echo "comment: no open pull request has $HEAD_COMMIT as its newest commit any more" >&2; exit 0; }

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
gh run download "$RUN_ID" --repo "$GITHUB_REPOSITORY" --name review --dir "$folder"
card=$folder/card.md
if [ -L "$card" ] || [ ! -f "$card" ] || [ "$(wc -c <"$card")" -gt 65536 ] || [ "$(head -n 1 "$card")" != "$marker" ]; then
  echo "comment: the artifact of run $RUN_ID holds no card" >&2
  exit 1
fi

comments=repos/$GITHUB_REPOSITORY/issues
old=$(marker=$marker gh api --paginate "$comments/$number/comments" \
  --jq '.[] | select(.user.login == "github-actions[bot]" and (.body | startswith(env.marker))) | .id' | head -n 1)
if [ -n "$old" ]; then
  gh api --silent -X PATCH "$comments/comments/$old" -F "body=@$card"
else
  gh api --silent -X POST "$comments/$number/comments" -F "body=@$card"
fi

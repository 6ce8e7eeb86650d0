#!/usr/bin/env bash
# Posts build/review/comment.md on a pull request, and replaces the previous comment.
# Without that file, the comment reports a failed review, so that no earlier result stays.
# Environment: NUMBER and HEAD_COMMIT of the pull request; RUN_ID of this workflow; GITHUB_REPOSITORY, GH_TOKEN.
set -euo pipefail
cd "$(dirname "$0")/.."
marker='<!-- tfd review -->'
[[ $NUMBER =~ ^[0-9]+$ && $HEAD_COMMIT =~ ^[0-9a-f]{40}$ ]] || {
  echo "NUMBER, HEAD_COMMIT: got $NUMBER $HEAD_COMMIT; expected a number and a commit. Set both from the event." >&2
  exit 2
}
file=$PWD/build/review/comment.md
if [ -L "$file" ] || [ ! -f "$file" ] || [ "$(wc -c <"$file")" -gt 65536 ] || [ "$(head -n 1 "$file")" != "$marker" ]; then
  file=$(mktemp)
  trap 'rm -f "$file"' EXIT
  printf '%s\n### ❔ The review of %s failed. Do not merge.\n\nThe log is in workflow run %s of this repository.\n' \
    "$marker" "${HEAD_COMMIT:0:12}" "$RUN_ID" >"$file"
fi

comments=repos/$GITHUB_REPOSITORY/issues
old=$(marker=$marker gh api --paginate "$comments/$NUMBER/comments" \
  --jq '.[] | select(.user.login == "github-actions[bot]" and (.body | startswith(env.marker))) | .id' | head -n 1)
if [ -n "$old" ]; then
  gh api --silent -X PATCH "$comments/comments/$old" -F "body=@$file"
else
  gh api --silent -X POST "$comments/$NUMBER/comments" -F "body=@$file"
fi

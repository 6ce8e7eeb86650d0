#!/usr/bin/env bash
# Posts the review comment, and replaces the previous one. The text is untrusted, so the pull request is looked up by commit.
# Environment: RUN_ID of the review workflow; HEAD_COMMIT, HEAD_OWNER, HEAD_BRANCH of its pull request; GITHUB_REPOSITORY, GH_TOKEN.
set -euo pipefail
marker='<!-- tfd review -->'
number=$(gh api -X GET "repos/$GITHUB_REPOSITORY/pulls" -f state=open -f "head=$HEAD_OWNER:$HEAD_BRANCH" \
  --jq '[.[] | select(.head.sha == env.HEAD_COMMIT) | .number][0] // empty')
[ -n "$number" ] || { echo "comment: $HEAD_COMMIT is not the newest commit of an open pull request; no comment is posted" >&2; exit 0; }

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
gh run download "$RUN_ID" --repo "$GITHUB_REPOSITORY" --name review --dir "$folder"
file=$folder/comment.md
if [ -L "$file" ] || [ ! -f "$file" ] || [ "$(wc -c <"$file")" -gt 65536 ] || [ "$(head -n 1 "$file")" != "$marker" ]; then
  echo "comment: the artifact of run $RUN_ID contains no review comment" >&2
  exit 1
fi

comments=repos/$GITHUB_REPOSITORY/issues
old=$(marker=$marker gh api --paginate "$comments/$number/comments" \
  --jq '.[] | select(.user.login == "github-actions[bot]" and (.body | startswith(env.marker))) | .id' | head -n 1)
if [ -n "$old" ]; then
  gh api --silent -X PATCH "$comments/comments/$old" -F "body=@$file"
else
  gh api --silent -X POST "$comments/$number/comments" -F "body=@$file"
fi

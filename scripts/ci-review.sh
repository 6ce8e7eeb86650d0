#!/usr/bin/env bash
# Reviews a GitHub pull request and writes build/review/comment.md and build/review/review.json.
# The exit code is the one of `tfd review`. The checkout is the base branch; the pull request is fetched, not checked out.
# Environment: NUMBER and HEAD_COMMIT of the pull request, GITHUB_REPOSITORY, GH_TOKEN with read permission.
set -euo pipefail
cd "$(dirname "$0")/.."
export PATH=$PWD/.venv/bin:$PATH
[[ $NUMBER =~ ^[0-9]+$ && $HEAD_COMMIT =~ ^[0-9a-f]{40}$ ]] || {
  echo "NUMBER, HEAD_COMMIT: got $NUMBER $HEAD_COMMIT; expected a number and a commit. Set both from the event." >&2
  exit 2
}
git -c credential.helper= -c "credential.helper=!gh auth git-credential" \
  fetch --quiet --no-tags origin "+refs/pull/$NUMBER/head:refs/review/head"

# The reviewers whose latest review approves exactly this commit.
approvals=()
while read -r login; do approvals+=(--approved-by "$login"); done < <(
  gh api --paginate "repos/$GITHUB_REPOSITORY/pulls/$NUMBER/reviews" \
    --jq '.[] | select(.state != "COMMENTED") | [.user.login, .state, .commit_id] | @tsv' |
    awk -v commit="$HEAD_COMMIT" '{ last[$1] = $2 " " $3 } END { for (who in last) if (last[who] == "APPROVED " commit) print who }' |
    sort)

review() { tfd review --base HEAD --head "$HEAD_COMMIT" "${approvals[@]}" --format "$1"; }
mkdir -p build/review
code=0
review markdown >build/review/comment.md || code=$?
review json >build/review/review.json || [ $? = "$code" ]
cat build/review/comment.md >>"${GITHUB_STEP_SUMMARY:-/dev/null}"
exit "$code"

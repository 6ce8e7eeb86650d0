#!/usr/bin/env bash
# Reviews a GitHub pull request and writes build/review/comment.md and build/review/review.json.
# The exit code is the one of `tfd review`. The checkout is the base branch; the pull request is fetched, not checked out.
# Environment: BRANCH, the default branch; BASE, the branch to merge into; NUMBER and HEAD_COMMIT of the pull request.
# In a merge queue, QUEUE_REF in place of NUMBER, because its name contains the number.
# Also GITHUB_REPOSITORY, and GH_TOKEN with read permission.
set -euo pipefail
cd "$(dirname "$0")/.."
export PATH=$PWD/.venv/bin:$PATH
# A check belongs to a commit, so the result for another base would also count for the default branch.
[ "${BASE#refs/heads/}" = "$BRANCH" ] || {
  echo "BASE: got ${BASE#refs/heads/}; expected $BRANCH, from which Argo CD starts runs. Change the base of the pull request." >&2
  exit 2
}
queue='^refs/heads/gh-readonly-queue/.+/pr-([0-9]+)-[0-9a-f]{40}$'
if [[ ${QUEUE_REF:-} =~ $queue ]]; then NUMBER=${BASH_REMATCH[1]} ref=$QUEUE_REF; else ref=refs/pull/$NUMBER/head; fi
[[ $NUMBER =~ ^[0-9]+$ && $HEAD_COMMIT =~ ^[0-9a-f]{40}$ ]] || {
  echo "NUMBER, HEAD_COMMIT: got $NUMBER $HEAD_COMMIT; expected a number and a commit. Set both from the event." >&2
  exit 2
}
git -c credential.helper= -c "credential.helper=!gh auth git-credential" \
  fetch --quiet --no-tags origin "+$ref:refs/review/head"
# In a merge queue, the approved commit is the newest one of the pull request, not the one that the queue made.
approved=$HEAD_COMMIT
[ -z "${QUEUE_REF:-}" ] || approved=$(gh api "repos/$GITHUB_REPOSITORY/pulls/$NUMBER" --jq .head.sha)

# The members and collaborators whose latest review approves exactly this commit. Others may submit reviews, too.
approvals=()
while read -r login; do approvals+=(--approved-by "$login"); done < <(
  gh api --paginate "repos/$GITHUB_REPOSITORY/pulls/$NUMBER/reviews" \
    --jq '.[] | select(.state != "COMMENTED" and (.author_association | IN("OWNER", "MEMBER", "COLLABORATOR")))
      | [.user.login, .state, .commit_id] | @tsv' |
    awk -v commit="$approved" '{ last[$1] = $2 " " $3 } END { for (who in last) if (last[who] == "APPROVED " commit) print who }' |
    sort)

review() { tfd review --base HEAD --head "$HEAD_COMMIT" "${approvals[@]}" --format "$1"; }
mkdir -p build/review
code=0
review markdown >build/review/comment.md || code=$?
# A process that the system ended writes no review comment, and the comment of the push before would stay.
[ "$(head -n 1 build/review/comment.md)" = '<!-- tfd review -->' ] || {
  code=2
  printf '%s\n' '<!-- tfd review -->' '### ❔ The review itself failed' '' \
    "It ended without a result. Read the log of the workflow run." >build/review/comment.md
}
review json >build/review/review.json || [ $? = "$code" ] || printf '{"exitCode": %s}\n' "$code" >build/review/review.json
cat build/review/comment.md >>"${GITHUB_STEP_SUMMARY:-/dev/null}"
exit "$code"

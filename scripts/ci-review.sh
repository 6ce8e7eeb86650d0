#!/usr/bin/env bash
# Reviews a pull request of GitHub into build/review: card.md and review.json. Exits as `tfd review` does.
# The checkout is the base of the pull request, whose objects are fetched and never checked out.
# Environment: NUMBER and HEAD_COMMIT of the pull request, GITHUB_REPOSITORY, GH_TOKEN that may read it.
set -euo pipefail
cd "$(dirname "$0")/.."
export PATH=$PWD/.venv/bin:$PATH
[[ $NUMBER =~ ^[0-9]+$ && $HEAD_COMMIT =~ ^[0-9a-f]{40}$ ]] || { echo "review: no pull request: $NUMBER $HEAD_COMMIT" >&2; exit 2; }
git -c credential.helper= -c "credential.helper=!gh auth git-credential" \
  fetch --quiet --no-tags origin "+refs/pull/$NUMBER/head:refs/review/head"

# The last word of each reviewer, if it is an approval of this very commit.
approvals=()
while read -r login; do approvals+=(--approved-by "$login"); done < <(
  gh api --paginate "repos/$GITHUB_REPOSITORY/pulls/$NUMBER/reviews" \
    --jq '.[] | select(.state != "COMMENTED") | [.user.login, .state, .commit_id] | @tsv' |
    awk -v commit="$HEAD_COMMIT" '{ last[$1] = $2 " " $3 } END { for (who in last) if (last[who] == "APPROVED " commit) print who }' |
    sort)

review() { tfd review --base HEAD --head "$HEAD_COMMIT" "${approvals[@]}" --format "$1"; }
mkdir -p build/review
code=0
review markdown >build/review/card.md || code=$?
review json >build/review/review.json || [ $? = "$code" ]
cat build/review/card.md >>"${GITHUB_STEP_SUMMARY:-/dev/null}"
exit "$code"

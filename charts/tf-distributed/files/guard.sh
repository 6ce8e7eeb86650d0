# shellcheck shell=sh
# Starts a custom program (`command` of the job file), so that it runs once and its run ends.
#
#   sh guard.sh MODE[:OTHERS] COMMAND...
#
#   lead      writes DONE after exit code 0 of the program
#   follow    ends when DONE appears
#   peer      ends by itself
#
# The task with index 0 has MODE, and the other tasks of its role have OTHERS.
# The image needs sh, mkdir, mv and sleep. The file done.json next to this one holds the content of DONE.
set -u

mode=${1%:*}
[ "$TASK_INDEX" = 0 ] || mode=${1#*:}
shift
marker=$RUN_DIR/DONE
IFS= read -r mine <"${0%/*}/done.json"
# {"run": "NAME", "hash": "sha256:HEX"}
run=${mine#?}
run=${run%%, *}
hash=${mine#*, }
hash=${hash%?}
child=''
told=''
signaled=''

say() { printf 'guard: %s\n' "$*" >&2; }

refuse() {
  code=$1
  shift
  say "$@"
  exit "$code"
}

# Returns whether this run is done. A DONE of another run or identity, a link and a folder count as absent.
is_done() {
  # An NFS client asks its server for new names only when it opens a folder.
  { true <"${RUN_DIR%/*}" && true <"$RUN_DIR"; } 2>/dev/null
  [ -f "$marker" ] && [ ! -L "$marker" ] || return 1
  # The trainer writes a line for each field, and these two first.
  one='' two='' three=''
  { { IFS= read -r one && IFS= read -r two && IFS= read -r three; } <"$marker"; } 2>/dev/null
  case $one$two$three in *"$run"*"$hash"*) return 0 ;; esac
  return 1
}

# Writes DONE, attempt $1. It never writes into a file that exists, which may be a link of another run.
write_done() {
  mkdir -p "$RUN_DIR" || return 1
  (set -C && printf '%s\n' "$mine" >"$RUN_DIR/.DONE.$1") || return 1
  # `mv` would move into a folder, also through a link.
  if [ -L "$marker" ] || [ -d "$marker" ]; then mv "$marker" "$marker.other.$1" || return 1; fi
  mv -f "$RUN_DIR/.DONE.$1" "$marker"
}

# Ends the leader with 0 once DONE exists.
finish() {
  for attempt in 1 2 3 4 5 6 7 8 9 10; do
    is_done || write_done "$attempt"
    is_done && exit 0
    sleep 1
  done
  refuse 75 "$marker: got a failed write; expected writable storage. Look at the storage: the program ended with 0 and will start again."
}

# Passes the signal of the kubelet on, which signals only this process.
stop() {
  told=1
  signaled=1
  [ -z "$child" ] || kill -s TERM "$child" 2>/dev/null
}

# Ends the program once DONE appears.
watch() {
  until is_done; do sleep 1; done
  say "the run is done: ending the program with SIGTERM"
  kill -s TERM "$child"
  sleep "$TRAINER_GRACE_PERIOD"
  kill -s KILL "$child"
}

# Returns whether another process runs: in the container of process 1, else in the group of this process.
has_others() {
  for stat in /proc/[0-9]*/stat; do
    { IFS= read -r line <"$stat"; } 2>/dev/null || continue
    pid=${line%% *}
    # The name of the program, in parentheses, may contain anything. State, parent and group follow.
    # shellcheck disable=SC2086
    set -- ${line##*) }
    if [ "$pid" != $$ ] && [ "$1" != Z ] && { [ $$ = 1 ] || [ "$3" = $$ ]; }; then return 0; fi
  done
  return 1
}

# Ends what the program left running: a shell without `exec` ends by SIGTERM, and the program that it started runs on.
end_others() {
  trap '' TERM
  # Process 1 of a container signals all others so.
  kill -s TERM -- "-$$" 2>/dev/null
  wait 2>/dev/null
  left=$TRAINER_GRACE_PERIOD
  while has_others && [ "$left" -gt 0 ]; do
    sleep 1
    left=$((left - 1))
  done
}

for tool in mkdir mv sleep; do
  command -v "$tool" >/dev/null || refuse 127 "image: got no $tool; expected sh, mkdir, mv and sleep. Add $tool to the image."
done
trap stop HUP INT QUIT TERM
if is_done; then
  refuse 0 "the run was done already, see $marker"
fi
if [ "$mode" = lead ]; then
  folder=$RUN_DIR
  [ -d "$folder" ] || folder=${folder%/*}
  if [ -d "$folder" ] && [ ! -w "$folder" ]; then
    refuse 2 "RUN_DIR: got $RUN_DIR, which cannot be written; expected a writable directory for DONE. Set storage to a writable one, or grant write access to runAsUser."
  fi
fi

# `exec` starts a program also where a function or a builtin has its name.
(exec "$@") &
child=$!
[ -z "$told" ] || stop
if [ "$mode" = follow ]; then watch & fi
# `wait` also ends by a signal, with the code of the signal, even if the program ends at the same moment.
code=''
while :; do
  signaled=''
  wait "$child"
  got=$?
  # 127: the last `wait` had the code of the program already.
  if [ "$got" != 127 ] || [ -z "$code" ]; then code=$got; fi
  [ -n "$signaled" ] || break
done

if [ -n "$told" ] || is_done; then end_others; fi
if [ "$mode" = lead ] && [ "$code$told" = 0 ]; then finish; fi
# The end of the leader may fail this task an instant before DONE appears.
for attempt in 1 2 3; do
  is_done && exit 0
  if [ "$mode" = lead ] || [ "$code" = 0 ] || [ -n "$told" ]; then break; fi
  sleep 1
done
# A task that received SIGTERM has not finished.
[ "$code$told" != 01 ] || code=143
exit "$code"

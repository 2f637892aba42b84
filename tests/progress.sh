# Sourced by scripts that take minutes: runs a command and shows that the command still works.
#
#   with_progress "building etcd (1 of 3)" LOG COMMAND...
#
# The command's output goes into LOG, and is shown if the command fails. On a terminal one line counts
# the seconds. Elsewhere (a CI log) a line appears each 30 seconds. $unit, if set, names what a line of
# LOG stands for, e.g. "packages".

clock() { printf '%d:%02d' $(($1 / 60)) $(($1 % 60)); }

with_progress() {
  local what=$1 log=$2 began=$SECONDS status=0 child seconds done_so_far
  shift 2
  "$@" >"$log" 2>&1 &
  child=$!
  # Without job control a background process ignores Ctrl-C.
  trap 'kill "$child" 2>/dev/null; exit 130' INT TERM
  [ -t 2 ] || printf '%s ...\n' "$what" >&2
  while kill -0 "$child" 2>/dev/null; do
    sleep 1
    seconds=$((SECONDS - began))
    done_so_far=$(clock "$seconds")
    [ -z "${unit:-}" ] || done_so_far="$(wc -l <"$log" | tr -d ' ') $unit, $done_so_far"
    if [ -t 2 ]; then
      printf '\r\033[K%s: %s' "$what" "$done_so_far" >&2
    elif [ $((seconds % 30)) -eq 0 ]; then
      printf '%s: %s so far\n' "$what" "$done_so_far" >&2
    fi
  done
  wait "$child" || status=$?
  trap - INT TERM
  [ ! -t 2 ] || printf '\r\033[K' >&2
  if [ "$status" -eq 0 ]; then
    printf '%s: done after %s\n' "$what" "$(clock $((SECONDS - began)))" >&2
  else
    tail -n 40 "$log" >&2
  fi
  return "$status"
}

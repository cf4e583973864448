#!/bin/sh
# What the scripts inside the booted container share; they source it.
set -u
out=/run/out
socket=/run/banana/banana.sock
failures=0

check() { # NAME COMMAND...: says whether COMMAND succeeds
  name=$1
  shift
  if "$@" >"$out/last" 2>&1; then
    echo "ok    $name" >>"$out/results"
  else
    echo "FAIL  $name: $(tail -n 3 "$out/last" | tr '\n' ' ')" >>"$out/results"
    failures=$((failures + 1))
    journalctl --no-pager -o short-precise >"$out/journal" 2>&1
  fi
}
property() { systemctl show -P "$2" "$1"; }
is() { [ "$1" = "$2" ] || { echo "\"$1\" is not \"$2\""; return 1; }; }
fails() { ! "$@"; }
asks() { curl --silent --show-error --fail --max-time "${2:-20}" --unix-socket "$1" \
  http://localhost/healthz; }
until_true() { # SECONDS COMMAND...
  left=$(($1 * 5))
  shift
  while ! "$@" >/dev/null 2>&1; do
    left=$((left - 1))
    [ "$left" -gt 0 ] || { echo "never: $*"; return 1; }
    sleep 0.2
  done
}
quick() { # LIMIT COMMAND...: COMMAND succeeds within LIMIT seconds
  limit=$1
  shift
  start=$(date +%s)
  "$@" && [ $(($(date +%s) - start)) -le "$limit" ]
}
# Says that the script came to its end, and turns the machine off.
finish() {
  journalctl --no-pager -o short-precise >"$out/journal" 2>&1
  echo "$failures" >"$out/failures"
  systemctl poweroff
}

#!/usr/bin/env bash
# Installs moto, the Cognito of the tests, once, into a virtual environment in a cache outside of the
# checkout. Every package is pinned with its hash.
#
# stdout: CPO_MOTO_SERVER=PATH, ready for `export`; progress and errors go to stderr. If CPO_MOTO_SERVER is
# set already, that server is used. CPO_TEST_CACHE names another cache.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/../progress.sh"

say() { printf '%s\n' "$*" >&2; }
fail() { say "error: $*"; exit 1; }

sha256() {
  if command -v sha256sum >/dev/null; then sha256sum; else shasum -a 256; fi | cut -c 1-16
}

if [ -n "${CPO_MOTO_SERVER:-}" ]; then
  [ -x "$CPO_MOTO_SERVER" ] || fail "CPO_MOTO_SERVER is '$CPO_MOTO_SERVER', which can't be executed"
  printf 'CPO_MOTO_SERVER=%s\n' "$CPO_MOTO_SERVER"
  exit 0
fi

command -v python3 >/dev/null || fail "the tests' Cognito (moto) runs on Python, and there is no 'python3' on the PATH: install Python 3.11 or newer"
version=$(python3 -c 'import sys; print("%d.%d" % sys.version_info[:2])')
python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' || fail "the tests' Cognito (moto) needs Python 3.11 or newer, and python3 is $version"
python3 -c 'import venv, ensurepip' 2>/dev/null || fail "python3 has no venv module: install it (Debian and Ubuntu: apt-get install python3-venv)"

cache=${CPO_TEST_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/cognito-password-operator}
mkdir -p "$cache"
key=$(sha256 <"$here/requirements.txt")
venv=$cache/moto-$key-python$version
# Written last. A virtual environment can't be moved into place, because its scripts contain its path. So this
# file marks a complete environment.
complete=$venv/.complete

install() {
  rm -rf "$venv"
  python3 -m venv "$venv" >&2 || fail "could not make a virtual environment (see above)"
  with_progress "installing moto, about a minute" "$venv/install.log" \
    "$venv/bin/pip" install --quiet --disable-pip-version-check --require-hashes \
    --requirement "$here/requirements.txt" || fail "could not install moto (see above)"
  : >"$complete"
}

if [ ! -e "$complete" ]; then
  if command -v flock >/dev/null; then
    # One installation at a time. A script that waited finds moto installed.
    (
      flock 9
      [ -e "$complete" ] || install
    ) 9>"$cache/.moto.lock"
  else
    install
  fi
fi
printf 'CPO_MOTO_SERVER=%s\n' "$venv/bin/moto_server"

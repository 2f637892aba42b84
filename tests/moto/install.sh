#!/usr/bin/env bash
# Installs moto, the Cognito of the tests, and the command line of AWS once, into a virtual environment in a
# cache outside of the checkout. Every package is pinned with its hash.
#
# stdout: CPO_MOTO_SERVER=PATH and CPO_AWS=PATH, ready for `export`; progress and errors go to stderr. If one of
# the two is set already, that program is used. CPO_TEST_CACHE names another cache.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/../progress.sh"

say() { printf '%s\n' "$*" >&2; }
fail() { say "error: $*"; exit 1; }

sha256() {
  if command -v sha256sum >/dev/null; then sha256sum; else shasum -a 256; fi | cut -c 1-16
}

print() {
  printf 'CPO_MOTO_SERVER=%s\n' "${CPO_MOTO_SERVER:-$1/bin/moto_server}"
  printf 'CPO_AWS=%s\n' "${CPO_AWS:-$1/bin/aws}"
}

for name in CPO_MOTO_SERVER CPO_AWS; do
  [ -z "${!name:-}" ] || [ -x "${!name}" ] || fail "$name is '${!name}', which can't be executed"
done
if [ -n "${CPO_MOTO_SERVER:-}" ] && [ -n "${CPO_AWS:-}" ]; then
  print
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
print "$venv"

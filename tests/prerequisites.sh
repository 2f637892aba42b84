#!/usr/bin/env bash
# Lists what this machine lacks for a command, and how to install each item:
#
#   prerequisites.sh NEED...
#
# A NEED is a tool of tests/with-tools.sh (the head of tests/tools/build.sh names them; and moto), `lints` (rustfmt,
# clippy) or `bill` (the bill of materials). Rust and a C compiler are needed always. Without a NEED: all that any
# target needs.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

[ $# -gt 0 ] || set -- kube-apiserver moto lints bill
needs() {
  local need
  for need in "${wanted[@]}"; do [ "$need" != "$1" ] || return 0; done
  return 1
}
wanted=("$@")

missing=()
lacks() { missing+=("$1"); }
has() { command -v "$1" >/dev/null 2>&1; }

# Is version $1 at least $2?
at_least() { [ "$(printf '%s\n%s\n' "$2" "$1" | sort -V | head -n 1)" = "$2" ]; }

rust=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)
if ! has cargo; then
  lacks "Rust $rust or newer: https://rustup.rs"
else
  version=$(cargo --version | cut -d ' ' -f 2)
  at_least "$version" "$rust" || lacks "Rust $rust or newer, here is $version: rustup update stable"
  if needs lints; then
    cargo fmt --version >/dev/null 2>&1 || lacks "rustfmt: rustup component add rustfmt"
    cargo clippy --version >/dev/null 2>&1 || lacks "clippy: rustup component add clippy"
  fi
fi

# The TLS library is partly C, and the static binary contains libc.
compiler=${CC:-cc}
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
printf 'int main(void) { return 0; }\n' >"$scratch/main.c"
if ! has "$compiler"; then
  lacks "a C compiler ($compiler): apt-get install build-essential, dnf install gcc glibc-static"
elif [ "$(uname -s)" = Linux ] && ! "$compiler" -static -o "$scratch/main" "$scratch/main.c" 2>/dev/null; then
  lacks "a C compiler that links statically, with libc.a: apt-get install libc6-dev, dnf install glibc-static"
fi

# Every tool but moto is compiled, unless KUBEBUILDER_ASSETS has the tool.
compiles=false
for need in "${wanted[@]}"; do
  case $need in
    moto | lints | bill) ;;
    *) [ -x "${KUBEBUILDER_ASSETS:-}/$need" ] || compiles=true ;;
  esac
done
if $compiles; then
  # Since 1.21, Go downloads the newer Go that a go.mod requires.
  if ! has go; then
    lacks "Go 1.21 or newer: https://go.dev/dl"
  else
    version=$(go env GOVERSION)
    at_least "${version#go}" 1.21 || lacks "Go 1.21 or newer, here is ${version#go}: https://go.dev/dl"
  fi
fi

# moto and the bill of materials are Python.
if ! needs moto && ! needs bill; then
  :
elif ! has python3; then
  lacks "Python 3.11 or newer: apt-get install python3 python3-venv"
elif ! python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
  lacks "Python 3.11 or newer, here is $(python3 --version | cut -d ' ' -f 2): https://www.python.org"
elif needs moto && { [ -z "${CPO_MOTO_SERVER:-}" ] || [ -z "${CPO_AWS:-}" ]; } && ! python3 -c 'import ensurepip, venv' 2>/dev/null; then
  lacks "Python's venv: apt-get install python3-venv"
fi

[ ${#missing[@]} -gt 0 ] || exit 0
{
  echo "This machine lacks:"
  printf '  - %s\n' "${missing[@]}"
} >&2
exit 1

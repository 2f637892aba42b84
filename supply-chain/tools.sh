#!/usr/bin/env bash
# Installs the tools that check the dependencies, once, into a cache outside of the checkout.
#
#   tools.sh [cargo-deny] [cargo-auditable] [cargo-cyclonedx] [rust-audit-info]   (no argument: all)
#
# stdout: one NAME=PATH line per tool, ready for `export`; progress and errors go to stderr. If a NAME is set
# already, that tool is used. CPO_TEST_CACHE names another cache.
set -euo pipefail

say() { printf '%s\n' "$*" >&2; }
fail() { say "error: $*"; exit 1; }

# cargo-deny -> CPO_CARGO_DENY
variable_of() { printf 'CPO_%s' "$(printf '%s' "$1" | tr 'a-z-' 'A-Z_')"; }

# Pinned. A published version of a crate never changes, and --locked pins its dependencies.
version_of() {
  case $1 in
    cargo-deny) echo 0.20.2 ;;
    cargo-auditable) echo 0.7.7 ;;
    cargo-cyclonedx) echo 0.5.9 ;;
    rust-audit-info) echo 0.5.4 ;;
    *) fail "'$1' is not one of cargo-deny, cargo-auditable, cargo-cyclonedx, rust-audit-info" ;;
  esac
}

# The time of a first build, on two cores.
duration_of() {
  case $1 in
    cargo-deny) echo "about a minute and a half" ;;
    cargo-cyclonedx) echo "about a minute" ;;
    *) echo "a few seconds" ;;
  esac
}

cache=${CPO_TEST_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/cognito-password-operator}/supply-chain
# The cache depends on the machine's platform, not on the compiler.
platform=$(rustc --print host-tuple)

install() {
  local tool=$1 root=$2 version scratch
  version=$(version_of "$tool")
  scratch=$root/$$
  say "installing $tool $version, $(duration_of "$tool") the first time ..."
  # Little optimisation: the build is several times faster, and the tool still runs in less than a second. No
  # default features: the tools need neither wasm nor the network.
  CARGO_TARGET_DIR=$scratch/build CARGO_PROFILE_RELEASE_OPT_LEVEL=1 CARGO_PROFILE_RELEASE_LTO=off \
    CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16 CARGO_PROFILE_RELEASE_DEBUG=0 RUSTFLAGS='' \
    cargo install --quiet --locked --no-default-features --no-track --root "$scratch" \
    --version "$version" "$tool" >&2 || fail "could not install $tool (see above)"
  # Moved into place, so that no other process sees half a tool.
  mv "$scratch/bin/$tool" "$root/$tool"
  rm -rf "$scratch"
}

[ $# -gt 0 ] || set -- cargo-deny cargo-auditable cargo-cyclonedx rust-audit-info

for tool in "$@"; do
  variable=$(variable_of "$tool")
  if [ -n "${!variable:-}" ]; then
    [ -x "${!variable}" ] || fail "$variable is '${!variable}', which can't be executed"
    printf '%s=%s\n' "$variable" "${!variable}"
    continue
  fi
  root=$cache/$tool-$(version_of "$tool")-$platform
  if [ ! -x "$root/$tool" ]; then
    mkdir -p "$root"
    if command -v flock >/dev/null; then
      # One installation at a time. A script that waited finds the tools installed. Without flock, both
      # scripts install.
      (
        flock 9
        [ -x "$root/$tool" ] || install "$tool" "$root"
      ) 9>"$root/.lock"
    else
      install "$tool" "$root"
    fi
  fi
  printf '%s=%s\n' "$variable" "$root/$tool"
done

#!/usr/bin/env bash
# Compiles the image's binary, with the list of what it is made of inside.
#
# PROFILE: cargo's profile, release if it isn't set. stdout: the binary's path, for a script.
#
# The same sources, Rust and C compiler make the same bytes, wherever the checkout, cargo's home and
# the target directory are: `make reproducible` shows it.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

say() { printf '%s\n' "$*" >&2; }
fail() { say "error: $*"; exit 1; }

profile=${PROFILE:-release}
bill=target/bill
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

# Two steps, so that a failed script ends this one.
tools=$(supply-chain/tools.sh cargo-auditable cargo-cyclonedx rust-audit-info)
while read -r assignment; do declare -x "${assignment?}"; done <<<"$tools"
python3 supply-chain/bill.py write "$bill"

# Paths that the compiler would leave in the binary: of panics, mostly. What is in a later line, and
# longer, wins. (cargo's own `trim-paths` isn't stable yet.) Not in the dev profile, which shares what
# `make test` has compiled.
config=(--config .cargo/static.toml)
if [ "$profile" != dev ]; then
  cargo fetch --quiet --locked
  home=${CARGO_HOME:-$HOME/.cargo}
  directory=$(cargo metadata --locked --no-deps --format-version 1 |
    sed -n 's/.*"target_directory":"\([^"]*\)".*/\1/p')
  {
    echo "[target.'cfg(all())']"
    echo "rustflags = ["
    printf "  '--remap-path-prefix=%s',\n" "$PWD=/source" "$directory=/target" "$home=/cargo"
    for registry in "$home"/registry/src/*; do
      printf "  '--remap-path-prefix=%s',\n" "$registry=/registry"
    done
    echo "]"
  } >"$scratch/paths.toml"
  config+=(--config "$scratch/paths.toml")
fi

# What `cargo auditable build` does, but for two things. The wrapper of all crates, not that of the
# workspace's: cargo hashes that one's path, and a home directory would change the binary. And the
# list is given, rather than asked of `cargo metadata`, see bill.py.
export CARGO_AUDITABLE_ORIG_ARGS='{"offline":false,"locked":true,"frozen":false,"config":[]}'
export CARGO_SBOM_PATH=$PWD/$bill/cargo-sbom.json
# Cargo doesn't look at a wrapper to see whether a binary is up to date: a cfg that nobody asks for,
# with the hash of the list, makes it look.
list=$(cksum <"$CARGO_SBOM_PATH" | cut -d ' ' -f 1)
# Cargo itself says where the binary is: target directory and triple may be configured anywhere.
binary=$(
  RUSTC_WRAPPER=$CPO_CARGO_AUDITABLE cargo "${config[@]}" rustc --locked --profile "$profile" \
    --bin cognito-password-operator --message-format json-render-diagnostics \
    -- --cfg "list=\"$list\"" --check-cfg 'cfg(list, values(any()))' |
    sed -n 's/.*"executable":"\([^"]*\)".*/\1/p'
)
[ -x "$binary" ] || fail "cargo did not say where the binary is"

"$CPO_RUST_AUDIT_INFO" "$binary" >"$scratch/embedded.json" ||
  fail "$binary doesn't tell what it is made of"
python3 supply-chain/bill.py compare "$bill/sbom.cdx.json" "$scratch/embedded.json" ||
  fail "$binary tells something else than $bill/sbom.cdx.json (see above)"

printf '%s\n' "$binary"

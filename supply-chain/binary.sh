#!/usr/bin/env bash
# Compiles a program, which contains the list of its dependencies.
#
#   binary.sh operator   the image's binary; the list goes to target/bill, too
#   binary.sh plugin     the plugin of kubectl, for this machine; the list goes to target/bill/plugin, too
#
# PROFILE: cargo's profile, `release` or `small` by default. stdout: the binary's path, for a script.
#
# The same sources, Rust and C compiler make the same bytes, wherever the checkout, cargo's home and the
# target directory are. `make reproducible` checks that.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

say() { printf '%s\n' "$*" >&2; }
fail() { say "error: $*"; exit 1; }

case ${1:-} in
  operator) name=cognito-password-operator profile=${PROFILE:-release} bill=target/bill features=() ;;
  plugin)
    name=kubectl-cognito_password profile=${PROFILE:-small} bill=target/bill/plugin
    features=(--no-default-features)
    ;;
  *) fail "usage: $0 operator|plugin" ;;
esac
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

# Two steps, so that a failed script ends this one.
tools=$(supply-chain/tools.sh cargo-auditable cargo-cyclonedx rust-audit-info)
while read -r assignment; do declare -x "${assignment?}"; done <<<"$tools"
python3 supply-chain/bill.py write "$bill" ${features[@]+"${features[@]}"}

# Replaces paths that the compiler would leave in the binary, mostly in panics. A later and longer prefix
# wins. (cargo's own `trim-paths` isn't stable yet.) Not in the dev profile, which reuses what `make test` has
# compiled.
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

# The steps of `cargo auditable build`, with two differences. The wrapper applies to all crates, not only to
# the workspace: cargo hashes the path of a workspace wrapper, so a home directory would change the binary.
# And the list comes from a file, not from `cargo metadata`: see bill.py.
export CARGO_AUDITABLE_ORIG_ARGS='{"offline":false,"locked":true,"frozen":false,"config":[]}'
export CARGO_SBOM_PATH=$PWD/$bill/cargo-sbom.json
# Cargo doesn't rebuild if only a wrapper's output changes. A cfg that no code uses, with the hash of the
# list, makes cargo rebuild.
list=$(cksum <"$CARGO_SBOM_PATH" | cut -d ' ' -f 1)
# Cargo names the binary's path, because target directory and triple may be configured anywhere.
binary=$(
  RUSTC_WRAPPER=$CPO_CARGO_AUDITABLE cargo "${config[@]}" rustc --locked --profile "$profile" \
    ${features[@]+"${features[@]}"} --bin "$name" --message-format json-render-diagnostics \
    -- --cfg "list=\"$list\"" --check-cfg 'cfg(list, values(any()))' |
    sed -n 's/.*"executable":"\([^"]*\)".*/\1/p'
)
[ -x "$binary" ] || fail "cargo did not say where the binary is"

"$CPO_RUST_AUDIT_INFO" "$binary" >"$scratch/embedded.json" ||
  fail "$binary doesn't tell what it is made of"
python3 supply-chain/bill.py compare "$bill/sbom.cdx.json" "$scratch/embedded.json" ||
  fail "$binary tells something else than $bill/sbom.cdx.json (see above)"

printf '%s\n' "$binary"

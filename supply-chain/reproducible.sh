#!/usr/bin/env bash
# Compiles the image's binary a second time, in another folder, with another home of cargo and another target
# directory. Compares the two binaries byte by byte.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

say() { printf '%s\n' "$*" >&2; }

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

# The files under version control, with their present content.
other=$scratch/a-folder/with/another-name
mkdir -p "$other"
git ls-files -z --cached --others --exclude-standard | tar -cf - --null -T - | tar -xf - -C "$other"

# The same crates and settings under another path, without a second download.
home=$scratch/another-home
mkdir "$home"
for path in "${CARGO_HOME:-$HOME/.cargo}"/*; do ln -s "$path" "$home/"; done

say "compiling here (about ten minutes on two cores, if it isn't there yet) ..."
one=$(supply-chain/binary.sh operator)
say "compiling in another folder (about ten minutes) ..."
two=$(CARGO_HOME=$home CARGO_TARGET_DIR=$scratch/another-target "$other/supply-chain/binary.sh" operator)

if ! cmp "$one" "$two" >&2; then
  say "error: the same sources have made two different binaries"
  exit 1
fi
for bill in sbom.cdx.json cargo-sbom.json; do
  cmp "target/bill/$bill" "$other/target/bill/$bill" >&2
done
say "the same bytes: sha256 $(sha256sum <"$one" | cut -d ' ' -f 1)"

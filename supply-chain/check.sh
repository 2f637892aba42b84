#!/usr/bin/env bash
# What the program is made of: allowed, listed, and told by the binary itself. `make supply-chain`.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# Two steps, so that a failed script ends this one.
tools=$(supply-chain/tools.sh cargo-deny)
while read -r assignment; do declare -x "${assignment?}"; done <<<"$tools"

# deny.toml has the rules. What is excused there and no longer there is an error.
"$CPO_CARGO_DENY" --locked check --hide-inclusion-graph \
  --deny unmatched-skip --deny unnecessary-skip licenses bans sources

# Writes the bill of materials, compiles (here, quickly, what the tests use) and compares.
PROFILE=dev image/binary.sh >/dev/null
echo "bill of materials ok: target/bill/sbom.cdx.json"

#!/usr/bin/env bash
# Checks the dependencies: which are allowed, which are listed, and which the binary names itself. `make
# supply-chain`.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# Two steps, so that a failed script ends this one.
tools=$(supply-chain/tools.sh cargo-deny)
while read -r assignment; do declare -x "${assignment?}"; done <<<"$tools"

# deny.toml has the rules. An exception without a crate is an error.
"$CPO_CARGO_DENY" --locked check --hide-inclusion-graph \
  --deny unmatched-skip --deny unnecessary-skip licenses bans sources

# Writes the bill of materials, compiles (with the tests' profile, which is quick) and compares.
PROFILE=dev supply-chain/binary.sh operator >/dev/null
echo "bill of materials ok: target/bill/sbom.cdx.json"

#!/usr/bin/env bash
# Checks the dependencies for known vulnerabilities and yanked versions: `make advisories`.
#
# Reads github.com/RustSec/advisory-db each time, so the result can change without a commit here. Run it in a
# job of its own, not as a check of a commit.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# Two steps, so that a failed script ends this one.
tools=$(supply-chain/tools.sh cargo-deny)
while read -r assignment; do declare -x "${assignment?}"; done <<<"$tools"

exec "$CPO_CARGO_DENY" --locked check --hide-inclusion-graph advisories

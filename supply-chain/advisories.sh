#!/usr/bin/env bash
# Whether a vulnerability of a dependency is known, or a version has been yanked. `make advisories`.
#
# Asks github.com/RustSec/advisory-db each time, so the answer can change overnight without a change
# here: for a job of its own, not for what says whether a commit is good.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# Two steps, so that a failed script ends this one.
tools=$(supply-chain/tools.sh cargo-deny)
while read -r assignment; do declare -x "${assignment?}"; done <<<"$tools"

exec "$CPO_CARGO_DENY" --locked check --hide-inclusion-graph advisories

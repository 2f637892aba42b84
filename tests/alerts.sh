#!/usr/bin/env bash
# Checks monitoring/rules.yaml and runs its tests, by promtool: `make alerts`.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../monitoring"

"$CPO_PROMTOOL" check rules --lint=all --lint-fatal rules.yaml
"$CPO_PROMTOOL" test rules rules.test.yaml

#!/usr/bin/env bash
# Checks the rules in monitoring/ and runs their tests, by promtool; decodes the dashboards by Grafana's types: `make alerts`.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../monitoring"

"$CPO_PROMTOOL" check rules --lint=all --lint-fatal rules.yaml tenant-rules.yaml
"$CPO_PROMTOOL" test rules rules.test.yaml tenant-rules.test.yaml
for dashboard in dashboards/*.json; do
  "$CPO_DECODE_DASHBOARD" "$dashboard"
done

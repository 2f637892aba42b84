// Grafana's own types, which decode the dashboard. See ../build.sh.
module cognito-password-operator.io/tests/tools/grafana

go 1.26.0

require github.com/grafana/grafana-foundation-sdk/go v0.0.22

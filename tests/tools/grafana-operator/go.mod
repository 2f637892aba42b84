// The CustomResourceDefinitions of the Grafana Operator: files in the module's zip. See ../build.sh.
module cognito-password-operator.io/tests/tools/grafana-operator

go 1.26.0

require github.com/grafana/grafana-operator/v5 v5.19.4

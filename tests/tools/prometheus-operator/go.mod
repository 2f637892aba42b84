// The CustomResourceDefinitions of the Prometheus Operator: files in the module's zip. See ../build.sh.
module cognito-password-operator.io/tests/tools/prometheus-operator

go 1.26.0

require github.com/prometheus-operator/prometheus-operator v0.85.0

// The CustomResourceDefinitions of Flux's source-controller: files in the module's zip. See ../build.sh.
module cognito-password-operator.io/tests/tools/source-controller

go 1.26.0

require github.com/fluxcd/source-controller v1.9.6

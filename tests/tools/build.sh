#!/usr/bin/env bash
# Builds tools of the tests from their Go modules, once, into a cache outside the checkout.
#
#   build.sh TOOL...
#
# kube-apiserver, etcd, kubectl, kube-controller-manager, kube-scheduler: the control plane
#   (control-plane/go.mod)
# prometheus, promtool (prometheus/go.mod; prometheus without its pages: see tags_of); decode-dashboard (grafana/)
# kube-state-metrics (kube-state-metrics/go.mod)
# helm (helm/go.mod); helm3, helm-unittest (helm3/go.mod); helm-docs (helm-docs/go.mod); kwok (kwok/go.mod)
# kstatus (kstatus/), argocd-lua (argocd-lua/)
# krew, validate-krew-manifest (krew/go.mod)
# kustomize-controller (flux/go.mod), external-secrets (external-secrets/go.mod)
# prometheus-operator-crds, grafana-operator-crds, kustomize-controller-crds, source-controller-crds,
#   external-secrets-crds: folders of CustomResourceDefinitions, copied from the modules that the go.mod of each names
#
# Each go.mod pins one graph of versions, which go.sum checks.
# stdout: one NAME=PATH line per tool, ready for `export`; progress and errors go to stderr.
# KUBEBUILDER_ASSETS (setup-envtest's convention) is honoured first: what it holds is not built. Nor is a tool whose
# variable (CPO_PROMETHEUS for prometheus) already names a program.
# CPO_TEST_CACHE moves the cache.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/../progress.sh"

say() { printf '%s\n' "$*" >&2; }
fail() { say "error: $*"; exit 1; }

# kube-apiserver -> CPO_KUBE_APISERVER
variable_of() { printf 'CPO_%s' "$(printf '%s' "$1" | tr 'a-z-' 'A-Z_')"; }

# The folder with the go.mod of a tool.
module_of() {
  case $1 in
    etcd | kube-apiserver | kube-controller-manager | kube-scheduler | kubectl) echo control-plane ;;
    argocd-lua | external-secrets | helm | helm-docs | kstatus | kube-state-metrics | kwok) echo "$1" ;;
    helm3 | helm-unittest) echo helm3 ;;
    krew | validate-krew-manifest) echo krew ;;
    prometheus | promtool) echo prometheus ;;
    decode-dashboard) echo grafana ;;
    kustomize-controller | kustomize-controller-crds) echo flux ;;
    external-secrets-crds | grafana-operator-crds | prometheus-operator-crds | source-controller-crds)
      echo "${1%-crds}" ;;
    *) fail "'$1' is not one of the tools at the head of $0" ;;
  esac
}

package_of() {
  case $1 in
    etcd) echo go.etcd.io/etcd/server/v3 ;;
    kube-state-metrics) echo k8s.io/kube-state-metrics/v2 ;;
    kube-* | kubectl) echo "k8s.io/kubernetes/cmd/$1" ;;
    helm) echo helm.sh/helm/v4/cmd/helm ;;
    helm3) echo helm.sh/helm/v3/cmd/helm ;;
    helm-unittest) echo github.com/helm-unittest/helm-unittest/cmd/helm-unittest ;;
    helm-docs) echo github.com/norwoodj/helm-docs/cmd/helm-docs ;;
    krew | validate-krew-manifest) echo "sigs.k8s.io/krew/cmd/$1" ;;
    kwok) echo sigs.k8s.io/kwok/cmd/kwok ;;
    prometheus | promtool) echo "github.com/prometheus/prometheus/cmd/$1" ;;
    decode-dashboard) echo cognito-password-operator.io/tests/tools/grafana ;;
    prometheus-operator-crds)
      echo github.com/prometheus-operator/prometheus-operator/example/prometheus-operator-crd ;;
    grafana-operator-crds) echo github.com/grafana/grafana-operator/v5/config/crd/bases ;;
    argocd-lua | kstatus) echo "cognito-password-operator.io/tests/tools/$1" ;;
    external-secrets) echo github.com/external-secrets/external-secrets ;;
    external-secrets-crds) echo github.com/external-secrets/external-secrets/config/crds/bases ;;
    kustomize-controller) echo github.com/fluxcd/kustomize-controller ;;
    kustomize-controller-crds) echo github.com/fluxcd/kustomize-controller/config/crd/bases ;;
    source-controller-crds) echo github.com/fluxcd/source-controller/config/crd/bases ;;
  esac
}

# The time of a first build, on two cores.
duration_of() {
  case $1 in
    external-secrets | kube-apiserver | kustomize-controller) echo "about 5 minutes" ;;
    argocd-lua) echo "about 3 minutes" ;;
    kube-controller-manager | kube-state-metrics | helm | helm3 | kwok | prometheus | promtool)
      echo "about 2 minutes" ;;
    *) echo "less than a minute" ;;
  esac
}

# Path and version of the module in a go.mod that has a package: the longest path that the package begins with.
required() {
  awk -v package="$2/" '
    $1 == "require" { sub(/^require /, "") }
    $2 ~ /^v/ && index(package, $1 "/") == 1 && length($1) > length(found) { found = $1; version = $2 }
    END { print found, version }
  ' "$here/$1/go.mod"
}

# Prometheus finds its targets in the file of its configuration: without the clients of the clouds, a third of
# the packages is not compiled. The module has the sources of Prometheus' web pages, but not the pages, so
# `builtinassets` is no option. Queries, rules and alerts are served all the same.
tags_of() {
  case $1 in
    prometheus | promtool) echo remove_all_sd ;;
  esac
}

# What tells a program its version. Each Kubernetes program answers with it, and kubectl compares.
flags_of() {
  case $1 in
    kube-state-metrics) ;;
    kube-* | kubectl) echo "-X k8s.io/component-base/version.gitVersion=$2" ;;
    helm) echo "-X helm.sh/helm/v4/internal/version.version=$2" ;;
    helm3) echo "-X helm.sh/helm/v3/internal/version.version=$2" ;;
  esac
}

sha256() {
  if command -v sha256sum >/dev/null; then sha256sum; else shasum -a 256; fi | cut -c 1-16
}

build() {
  local binary=$1 target=$2 position=$3 module package path version temporary make unit=packages
  module=$(module_of "$binary")
  package=$(package_of "$binary")
  read -r path version < <(required "$module" "$package")
  temporary=$target.$$
  compile() {
    cd "$here/$module"
    # -v: a line for each package.
    # GOTOOLCHAIN: a go.mod may ask for a newer Go than the one here.
    exec env CGO_ENABLED=0 GOWORK=off GOFLAGS='' GOTOOLCHAIN=auto go build -v -mod=readonly -buildvcs=false -trimpath \
      -tags "$(tags_of "$binary")" -ldflags "-s -w $(flags_of "$binary" "$version")" \
      -o "$temporary" "$package"
  }
  # The package is a folder of manifests.
  copy() {
    local folder
    cd "$here/$module"
    export GOWORK=off GOFLAGS=-mod=readonly
    go mod download "$path"
    folder=$(go list -m -f '{{.Dir}}' "$path")
    # The module cache is read-only.
    cp -r "$folder/${package#"$path"/}" "$temporary"
    chmod -R u+w "$temporary"
  }
  case $binary in
    *-crds) make=copy unit= ;;
    *) make=compile ;;
  esac
  with_progress "building $binary ${version#v} ($position), $(duration_of "$binary") on two cores" \
    "$temporary.log" "$make" || {
    rm -rf "$temporary" "$temporary.log"
    fail "could not build $binary (see above)"
  }
  rm -f "$temporary.log"
  # Moved into place, so that no other process sees half a binary.
  mv "$temporary" "$target"
}

[ $# -gt 0 ] || fail "which tools? See the head of $0"

missing=()
for binary in "$@"; do
  module_of "$binary" >/dev/null
  variable=$(variable_of "$binary")
  if [ -x "${!variable:-}" ]; then
    printf '%s=%s\n' "$variable" "${!variable}"
  elif [ -n "${KUBEBUILDER_ASSETS:-}" ] && [ -x "$KUBEBUILDER_ASSETS/$binary" ]; then
    printf '%s=%s\n' "$(variable_of "$binary")" "$KUBEBUILDER_ASSETS/$binary"
  else
    missing+=("$binary")
  fi
done
[ ${#missing[@]} -gt 0 ] || exit 0

command -v go >/dev/null || fail "tools of the tests (${missing[*]}) are compiled with Go, and there is no 'go' on the PATH: install Go 1.21 or newer (https://go.dev/dl), or, for the control plane, set KUBEBUILDER_ASSETS to a directory of setup-envtest"

platform=$(go env GOOS GOARCH | paste -sd - -)
all=${CPO_TEST_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/cognito-password-operator}

# A module's cache folder changes with the module's versions and code.
cache_of() {
  local module
  module=$(module_of "$1")
  echo "$all/$module-$(cat "$here/$module"/* | sha256)-$platform"
}

unbuilt=()
for binary in "${missing[@]}"; do
  [ -x "$(cache_of "$binary")/$binary" ] || unbuilt+=("$binary")
done
number=0
for binary in "${missing[@]}"; do
  cache=$(cache_of "$binary")
  mkdir -p "$cache"
  target=$cache/$binary
  if [ ! -x "$target" ]; then
    number=$((number + 1))
    position="$number of ${#unbuilt[@]}"
    if command -v flock >/dev/null; then
      # One build at a time. A script that waited finds the tool built. Without flock both scripts build, with
      # the same result.
      (
        flock 9
        [ -x "$target" ] || build "$binary" "$target" "$position"
      ) 9>"$cache/.lock"
    else
      build "$binary" "$target" "$position"
    fi
  fi
  printf '%s=%s\n' "$(variable_of "$binary")" "$target"
done

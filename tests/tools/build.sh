#!/usr/bin/env bash
# Builds tools of the tests from their Go modules, once, into a cache outside the checkout.
#
#   build.sh TOOL...
#
# kube-apiserver, etcd, kubectl, kube-controller-manager, kube-scheduler: the control plane
#   (control-plane/go.mod)
# prometheus, promtool (prometheus/go.mod; prometheus without its pages: see tags_of); decode-dashboard (grafana/)
# helm (helm/go.mod); helm3, helm-unittest (helm3/go.mod); helm-docs (helm-docs/go.mod); kwok (kwok/go.mod)
#
# Each go.mod pins one graph of versions, which go.sum checks.
# stdout: one NAME=PATH line per binary, ready for `export`; progress and errors go to stderr.
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
    helm | helm-docs | kwok) echo "$1" ;;
    helm3 | helm-unittest) echo helm3 ;;
    prometheus | promtool) echo prometheus ;;
    decode-dashboard) echo grafana ;;
    *) fail "'$1' is not one of kube-apiserver, etcd, kubectl, kube-controller-manager, kube-scheduler, helm, helm3, helm-unittest, helm-docs, kwok, prometheus, promtool, decode-dashboard" ;;
  esac
}

package_of() {
  case $1 in
    etcd) echo go.etcd.io/etcd/server/v3 ;;
    kube-* | kubectl) echo "k8s.io/kubernetes/cmd/$1" ;;
    helm) echo helm.sh/helm/v4/cmd/helm ;;
    helm3) echo helm.sh/helm/v3/cmd/helm ;;
    helm-unittest) echo github.com/helm-unittest/helm-unittest/cmd/helm-unittest ;;
    helm-docs) echo github.com/norwoodj/helm-docs/cmd/helm-docs ;;
    kwok) echo sigs.k8s.io/kwok/cmd/kwok ;;
    prometheus | promtool) echo "github.com/prometheus/prometheus/cmd/$1" ;;
    decode-dashboard) echo cognito-password-operator.io/tests/tools/grafana ;;
  esac
}

# The time of a first build, on two cores.
duration_of() {
  case $1 in
    kube-apiserver) echo "about 5 minutes" ;;
    kube-controller-manager | helm | helm3 | kwok | prometheus | promtool) echo "about 2 minutes" ;;
    *) echo "less than a minute" ;;
  esac
}

# The version that a go.mod requires of a module: the module of a package is the longest path that it begins with.
version_of() {
  awk -v package="$2/" '
    $1 == "require" { sub(/^require /, "") }
    $2 ~ /^v/ && index(package, $1 "/") == 1 && length($1) > length(found) { found = $1; version = $2 }
    END { print version }
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
    kube-* | kubectl) echo "-X k8s.io/component-base/version.gitVersion=$2" ;;
    helm) echo "-X helm.sh/helm/v4/internal/version.version=$2" ;;
    helm3) echo "-X helm.sh/helm/v3/internal/version.version=$2" ;;
  esac
}

sha256() {
  if command -v sha256sum >/dev/null; then sha256sum; else shasum -a 256; fi | cut -c 1-16
}

build() {
  local binary=$1 target=$2 position=$3 module package version temporary unit=packages
  module=$(module_of "$binary")
  package=$(package_of "$binary")
  version=$(version_of "$module" "$package")
  temporary=$target.$$
  compile() {
    cd "$here/$module"
    # -v: a line for each package.
    exec env CGO_ENABLED=0 GOWORK=off GOFLAGS='' go build -v -mod=readonly -buildvcs=false -trimpath \
      -tags "$(tags_of "$binary")" -ldflags "-s -w $(flags_of "$binary" "$version")" \
      -o "$temporary" "$package"
  }
  with_progress "building $binary ${version#v} ($position), $(duration_of "$binary") on two cores" \
    "$temporary.log" compile || {
    rm -f "$temporary" "$temporary.log"
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

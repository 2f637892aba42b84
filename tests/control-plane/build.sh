#!/usr/bin/env bash
# Builds the control plane of the tests from its Go modules, once, into a cache outside the checkout.
#
#   build.sh [kube-apiserver] [etcd] [kubectl] [kube-controller-manager]     (no argument: all four)
#
# stdout: one NAME=PATH line per binary, ready for `export`; progress and errors go to stderr.
# KUBEBUILDER_ASSETS (setup-envtest's convention) is honoured first: what it holds is not built.
# CPO_TEST_CACHE moves the cache.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/../progress.sh"

say() { printf '%s\n' "$*" >&2; }
fail() { say "error: $*"; exit 1; }

# kube-apiserver -> CPO_KUBE_APISERVER
variable_of() { printf 'CPO_%s' "$(printf '%s' "$1" | tr 'a-z-' 'A-Z_')"; }

package_of() {
  case $1 in
    etcd) echo go.etcd.io/etcd/server/v3 ;;
    kube-apiserver | kube-controller-manager | kubectl) echo "k8s.io/kubernetes/cmd/$1" ;;
    *) fail "'$1' is not one of kube-apiserver, etcd, kubectl, kube-controller-manager" ;;
  esac
}

# Cold, on two cores.
duration_of() {
  case $1 in
    kube-apiserver) echo "about 5 minutes" ;;
    kube-controller-manager) echo "about 2 minutes" ;;
    *) echo "less than a minute" ;;
  esac
}

# The version that go.mod requires of a module.
version_of() {
  awk -v module="$1" '$1 == module && $2 ~ /^v/ { print $2; exit }' "$here/go.mod"
}

sha256() {
  if command -v sha256sum >/dev/null; then sha256sum; else shasum -a 256; fi | cut -c 1-16
}

build() {
  local binary=$1 target=$2 position=$3 package version temporary unit=packages
  package=$(package_of "$binary")
  case $binary in
    etcd) version=$(version_of go.etcd.io/etcd/server/v3) ;;
    *) version=$(version_of k8s.io/kubernetes) ;;
  esac
  temporary=$target.$$
  # The version is what the API server answers at /version, and what kubectl compares.
  compile() {
    cd "$here"
    # -v: a line for each package.
    exec env CGO_ENABLED=0 GOWORK=off GOFLAGS='' go build -v -mod=readonly -buildvcs=false -trimpath \
      -ldflags "-s -w -X k8s.io/component-base/version.gitVersion=$version" \
      -o "$temporary" "$package"
  }
  with_progress "building $binary ${version#v} ($position), $(duration_of "$binary") on two cores" \
    "$temporary.log" compile || {
    rm -f "$temporary" "$temporary.log"
    fail "could not build $binary (see above)"
  }
  rm -f "$temporary.log"
  # A reader sees the whole binary or none.
  mv "$temporary" "$target"
}

[ $# -gt 0 ] || set -- kube-apiserver etcd kubectl kube-controller-manager

missing=()
for binary in "$@"; do
  package_of "$binary" >/dev/null
  if [ -n "${KUBEBUILDER_ASSETS:-}" ] && [ -x "$KUBEBUILDER_ASSETS/$binary" ]; then
    printf '%s=%s\n' "$(variable_of "$binary")" "$KUBEBUILDER_ASSETS/$binary"
  else
    missing+=("$binary")
  fi
done
[ ${#missing[@]} -gt 0 ] || exit 0

command -v go >/dev/null || fail "the tests' control plane (${missing[*]}) is compiled with Go, and there is no 'go' on the PATH: install Go 1.21 or newer (https://go.dev/dl), or set KUBEBUILDER_ASSETS to a directory of setup-envtest"

key=$(cat "$here/go.mod" "$here/go.sum" | sha256)
platform=$(go env GOOS GOARCH | paste -sd - -)
cache=${CPO_TEST_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/cognito-password-operator}/control-plane-$key-$platform
mkdir -p "$cache"

unbuilt=()
for binary in "${missing[@]}"; do
  [ -x "$cache/$binary" ] || unbuilt+=("$binary")
done
number=0
for binary in "${missing[@]}"; do
  target=$cache/$binary
  if [ ! -x "$target" ]; then
    number=$((number + 1))
    position="$number of ${#unbuilt[@]}"
    if command -v flock >/dev/null; then
      # One build at a time; who waited finds it done. Without flock both build, and both are right.
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

#!/usr/bin/env bash
# Builds and installs what the tests and the demo run (a real Kubernetes API server, Helm, moto), and runs
# a command that finds all of that in its environment:
#
#   tests/with-tools.sh cargo --config .cargo/static.toml test
#   tests/with-tools.sh --tools=kube-apiserver,etcd,kubectl cargo bench
#
# Without --tools: those of `make test`. Each is built once, and cached outside the checkout. All of them take
# about thirteen minutes on two cores. tests/tools/build.sh has further ones, for `make chart`, `make gitops` and
# `make alerts`.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

tools=kube-apiserver,etcd,kubectl,kube-controller-manager,helm,helm-unittest,helm-docs,kstatus,krew,validate-krew-manifest,moto
case ${1:-} in
  --tools=*) tools=${1#--tools=}; shift ;;
esac
[ $# -gt 0 ] || { echo "usage: $0 [--tools=NAME,NAME] COMMAND..." >&2; exit 2; }

needs_moto=false
binaries=()
IFS=', ' read -r -a names <<<"$tools"
for name in ${names[@]+"${names[@]}"}; do
  case $name in
    moto) needs_moto=true ;;
    *) binaries+=("$name") ;;
  esac
done

# Plain assignments, because a failed command in an `export` wouldn't end this script.
found=
if [ ${#binaries[@]} -gt 0 ]; then
  found=$("$here/tools/build.sh" "${binaries[@]}")
fi
if $needs_moto; then
  moto=$("$here/moto/install.sh")
  found+=$'\n'$moto
fi

while read -r assignment; do
  [ -z "$assignment" ] || declare -x "$assignment"
done <<<"$found"

# The tests' servers are on loopback, so a proxy of this machine must not get these requests.
export NO_PROXY="127.0.0.1,localhost${NO_PROXY:+,$NO_PROXY}"
export no_proxy=$NO_PROXY

exec "$@"

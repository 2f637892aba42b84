#!/usr/bin/env bash
# Builds and installs what the tests and the demo run (a real Kubernetes API server, moto), and runs
# a command that finds it all in its environment:
#
#   tests/with-tools.sh cargo --config .cargo/static.toml test
#
# The first time that takes about ten minutes on two cores; then it is cached outside the checkout.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

# Two assignments, so that a failed script ends this one.
control_plane=$("$here/control-plane/build.sh" etcd kube-apiserver kubectl kube-controller-manager)
moto=$("$here/moto/install.sh")

while read -r assignment; do
  declare -x "$assignment"
done <<<"$control_plane
$moto"

# What is served here is on loopback: no proxy that the machine may be set up with has a part in it.
export NO_PROXY="127.0.0.1,localhost${NO_PROXY:+,$NO_PROXY}"
export no_proxy=$NO_PROXY

exec "$@"

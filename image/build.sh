#!/usr/bin/env bash
# Compiles the static binary and builds the image from it: `make image`.
#
# All optional, from the environment:
#   IMAGE              name and tag              cognito-password-operator:VERSION
#   CONTAINER_TOOL     docker, podman, buildah   the first of them that works here
#   PROFILE            cargo's profile           release
#   CA_CERTIFICATES    a PEM bundle              Mozilla's, pinned in image/ca-certificates.txt
#   SOURCE_DATE_EPOCH  the image's date          the commit's, in seconds since 1970
#
# The image is for the architecture of this machine, and says so: the binary is compiled here.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

say() { printf '%s\n' "$*" >&2; }
fail() { say "error: $*"; exit 1; }

# A client without an engine can't build, so docker and podman are tried first.
works() {
  case $1 in
    docker | podman) command -v "$1" >/dev/null && "$1" info >/dev/null 2>&1 ;;
    buildah) command -v buildah >/dev/null ;;
    *) fail "CONTAINER_TOOL is '$1', which is not docker, podman or buildah" ;;
  esac
}

container_tool() {
  local tool
  if [ -n "${CONTAINER_TOOL:-}" ]; then
    works "$CONTAINER_TOOL" || fail "CONTAINER_TOOL is '$CONTAINER_TOOL', which is not installed or has no engine running ('$CONTAINER_TOOL info' says more)"
    echo "$CONTAINER_TOOL"
    return
  fi
  for tool in docker podman buildah; do
    if works "$tool"; then
      echo "$tool"
      return
    fi
  done
  fail "no docker with a running engine, no podman and no buildah here: install one of them (Debian and Ubuntu: apt-get install buildah)"
}

# Installs into a virtual environment inside the staging directory, so that the system's Python stays
# unchanged.
fetch_certificates() {
  python3 -m venv "$staging/venv" >&2 &&
    "$staging/venv/bin/pip" install --quiet --disable-pip-version-check --no-deps --require-hashes \
      --requirement image/ca-certificates.txt >&2 &&
    cp "$("$staging/venv/bin/python" -c 'import certifi; print(certifi.where())')" \
      "$staging/ca-certificates.crt"
}

# Checks the tools first, before a compilation of ten minutes.
command -v cargo >/dev/null || fail "there is no 'cargo' on the PATH: install Rust (https://rustup.rs)"
python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null ||
  fail "the list of what the binary is made of is put together by Python 3.11 or newer, and 'python3' isn't that: install it (https://www.python.org)"
tool=$(container_tool)
package=$(cargo pkgid --locked)
image=${IMAGE:-cognito-password-operator:${package##*[#@]}}
profile=${PROFILE:-release}

staging=$(mktemp -d)
trap 'rm -rf "$staging"' EXIT

if [ -n "${CA_CERTIFICATES:-}" ]; then
  grep -q 'BEGIN CERTIFICATE' "$CA_CERTIFICATES" || fail "CA_CERTIFICATES is '$CA_CERTIFICATES', which holds no PEM certificate"
  certificates=$CA_CERTIFICATES
else
  say "fetching the CA certificates pinned in image/ca-certificates.txt ..."
  fetch_certificates ||
    fail "could not fetch the CA certificates with python3 and pip (see above); or name a bundle of your own: make image CA_CERTIFICATES=/etc/ssl/certs/ca-certificates.crt"
  certificates=$staging/ca-certificates.crt
fi

say "compiling ($profile; about ten minutes the first time on two cores) ..."
binary=$(PROFILE=$profile supply-chain/binary.sh operator)

context=$staging/context
mkdir "$context"
install -m 0644 image/Containerfile "$context/Containerfile"
install -m 0644 "$certificates" "$context/ca-certificates.crt"
install -m 0755 "$binary" "$context/cognito-password-operator"

# The architecture's name in container images and in the label kubernetes.io/arch.
case $(uname -m) in
  x86_64) architecture=amd64 ;;
  aarch64) architecture=arm64 ;;
  *) architecture=$(uname -m) ;;
esac

say "building $image for $architecture with $tool ..."
# The same sources make the same image. docker reads this variable, and dates the image by it, but not the
# files in the image.
export SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || echo 0)}
case $tool in
  buildah)
    # This build has no RUN, so an isolation without privileges is enough. If the usual storage can't work
    # (for example in a container), plain directories can.
    buildah=(buildah)
    buildah images >/dev/null 2>&1 || buildah=(buildah --storage-driver vfs)
    "${buildah[@]}" bud --isolation chroot --timestamp "$SOURCE_DATE_EPOCH" \
      --tag "$image" --file "$context/Containerfile" "$context" >&2
    see="${buildah[*]} images"
    ;;
  podman)
    podman build --timestamp "$SOURCE_DATE_EPOCH" \
      --tag "$image" --file "$context/Containerfile" "$context" >&2
    see="podman images"
    ;;
  docker)
    docker build --tag "$image" --file "$context/Containerfile" "$context" >&2
    see="docker images"
    ;;
esac

say
say "$image is built for $architecture ('$see' shows it). Next: push it to where your cluster pulls from, or load it"
say "into the nodes, and name it in deploy/kustomization.yaml. What it is made of is in"
say "target/bill/sbom.cdx.json (CycloneDX), and in the binary itself."
if [ "$architecture" != amd64 ]; then
  say
  say "deploy/ keeps the pods to nodes of amd64: set the node selector kubernetes.io/arch to"
  say "$architecture, see docs/install.md (\"Architectures\")."
fi

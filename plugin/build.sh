#!/usr/bin/env bash
# Builds the plugin of kubectl for this machine, and packs it into target/plugin: `make plugin`.
#
# RELEASES: the URL below which the archives will be published, for the manifest of krew.
# PROFILE: cargo's profile, `small` by default.
# The archives of other platforms are built on machines of these platforms. Copy them into target/plugin, and the
# manifest names them too.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

say() { printf '%s\n' "$*" >&2; }
fail() { say "error: $*"; exit 1; }

# krew's names.
case $(uname -s) in
  Linux) system=linux ;;
  Darwin) system=darwin ;;
  *) fail "archives are made for Linux and macOS. For $(uname -s): cargo build --release --no-default-features --bin kubectl-cognito_password" ;;
esac
case $(uname -m) in
  x86_64) architecture=amd64 ;;
  aarch64 | arm64) architecture=arm64 ;;
  *) fail "krew has no name for the architecture $(uname -m)" ;;
esac

say "compiling the plugin (about five minutes the first time on two cores) ..."
binary=$(supply-chain/binary.sh plugin)
python3 plugin/pack.py "$binary" "$system-$architecture" target/plugin
archive=$(ls target/plugin/*-"$system-$architecture".tar.gz)
cp target/bill/plugin/sbom.cdx.json "${archive%.tar.gz}.cdx.json"
say "ok, in target/plugin:"
ls target/plugin

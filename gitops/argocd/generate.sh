#!/usr/bin/env bash
# Prints argocd-cm.yaml: the scripts of resource_customizations/, as Argo CD reads them from its ConfigMap.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

indent() { sed "s/^\(.\)/$1\1/" "$2"; }

cat <<'HEAD'
# Health checks and actions for Argo CD. Generated from resource_customizations/ by `make gitops-files`.
#
#   kubectl patch configmap argocd-cm -n argocd --type merge --patch-file argocd-cm.yaml
#
# The patch keeps the other keys of the ConfigMap.
apiVersion: v1
kind: ConfigMap
metadata:
  name: argocd-cm
  namespace: argocd
  labels:
    app.kubernetes.io/name: argocd-cm
    app.kubernetes.io/part-of: argocd
data:
HEAD
for kind in resource_customizations/*/*; do
  group=$(basename "$(dirname "$kind")")
  name=${group}_$(basename "$kind")
  echo "  resource.customizations.health.$name: |"
  indent '    ' "$kind/health.lua"
  [ -d "$kind/actions" ] || continue
  echo "  resource.customizations.actions.$name: |"
  echo "    discovery.lua: |"
  indent '      ' "$kind/actions/discovery.lua"
  echo "    definitions:"
  for action in "$kind"/actions/*/action.lua; do
    echo "      - name: $(basename "$(dirname "$action")")"
    echo "        action.lua: |"
    indent '          ' "$action"
  done
done

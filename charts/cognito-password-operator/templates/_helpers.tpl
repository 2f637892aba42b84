{{/*
The label app.kubernetes.io/name. An umbrella chart's alias takes the place of the chart's name, and may have
characters that no object's name may have.
*/}}
{{- define "cpo.name" -}}
{{- .Values.nameOverride | default .Chart.Name | lower | replace "_" "-" | trimAll "-" -}}
{{- end }}

{{/*
The name of all objects. 52 characters leave room for an ending such as -dashboard. A longer name ends with a
hash, so that two of them differ.
*/}}
{{- define "cpo.fullname" -}}
{{- $name := include "cpo.name" . -}}
{{- $full := contains $name .Release.Name | ternary .Release.Name (printf "%s-%s" .Release.Name $name) -}}
{{- $full = .Values.fullnameOverride | default $full | replace "." "-" -}}
{{- if gt (len $full) 52 -}}
{{- printf "%s-%s" (trunc 43 $full | trimSuffix "-") (sha256sum $full | trunc 8) -}}
{{- else -}}
{{- $full -}}
{{- end -}}
{{- end }}

{{/* The name of the metrics' Service. Kubernetes 1.32 admits no Service whose name begins with a digit. */}}
{{- define "cpo.serviceName" -}}
{{- $name := printf "%s-metrics" (include "cpo.fullname" .) -}}
{{- regexMatch "^[0-9]" $name | ternary (printf "n%s" $name) $name -}}
{{- end }}

{{- define "cpo.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "cpo.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end }}

{{/* The labels that tell this release from others. */}}
{{- define "cpo.ownLabels" -}}
app.kubernetes.io/name: {{ include "cpo.name" . | quote }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
{{- end }}

{{/*
The labels by which Deployment, Service and policies select the pods. With the default name they are those of
deploy/, so that Helm can adopt an installation by kustomize: a Deployment's selector can't be changed, and Helm 4
reports a conflict for each other selector. With another name the release is a part of the selector.
*/}}
{{- define "cpo.selectorLabels" -}}
{{- if eq (include "cpo.fullname" .) "cognito-password-operator" -}}
app.kubernetes.io/name: {{ include "cpo.name" . | quote }}
{{- else -}}
{{- include "cpo.ownLabels" . -}}
{{- end -}}
{{- end }}

{{/* A list of maps as one map. An earlier map wins, and null takes an entry away. */}}
{{- define "cpo.merged" -}}
{{- $all := dict -}}
{{- range . -}}
{{- range $name, $value := . -}}
{{- if not (hasKey $all $name) }}{{ $_ := set $all $name $value }}{{ end -}}
{{- end -}}
{{- end -}}
{{- $merged := dict -}}
{{- range $name, $value := $all -}}
{{- if not (kindIs "invalid" $value) }}{{ $_ := set $merged $name $value }}{{ end -}}
{{- end -}}
{{- toYaml $merged -}}
{{- end }}

{{/*
A map as YAML, without nulls in it. Helm takes a null away together with the default, and leaves a null without a
default. To Kubernetes, a null is zero: `limits: {cpu: null}` would be a limit of no CPU.
*/}}
{{- define "cpo.withoutNulls" -}}
{{- $kept := dict -}}
{{- range $name, $value := . -}}
{{- if kindIs "map" $value -}}
{{- $_ := set $kept $name (include "cpo.withoutNulls" $value | fromYaml) -}}
{{- else if not (kindIs "invalid" $value) -}}
{{- $_ := set $kept $name $value -}}
{{- end -}}
{{- end -}}
{{- toYaml $kept -}}
{{- end }}

{{/* The labels that selectors and Helm use. No value replaces them: cpo.validate refuses that. */}}
{{- define "cpo.fixedLabels" -}}
{{ include "cpo.ownLabels" . }}
app.kubernetes.io/managed-by: {{ .Release.Service | quote }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimAll "-_." | quote }}
{{- end }}

{{/* The ports of DNS, as JSON. OpenShift's DNS pods listen on 5353. */}}
{{- define "cpo.dnsPorts" -}}
{{- $ports := list -}}
{{- range .Values.networkPolicy.egress.dns.ports }}{{ $ports = append $ports (int64 .) }}{{ end -}}
{{- if and .Values.openshift $ports (not (has (int64 5353) $ports)) }}{{ $ports = append $ports (int64 5353) }}{{ end -}}
{{- dict "ports" $ports | toJson -}}
{{- end }}

{{- define "cpo.version" -}}
{{- .Values.image.tag | default .Chart.AppVersion | replace "+" "_" | trunc 63 | trimAll "-_." -}}
{{- end }}

{{/* The labels of objects that don't change with the operator's version, such as the CRDs: (list . own). */}}
{{- define "cpo.unversionedLabels" -}}
{{- $root := index . 0 -}}
{{- $fixed := include "cpo.fixedLabels" $root | fromYaml -}}
{{- $partOf := dict "app.kubernetes.io/part-of" (trimAll "-_" $root.Chart.Name) -}}
{{- include "cpo.merged" (list $fixed (index . 1) $root.Values.commonLabels $partOf) -}}
{{- end }}

{{/* The labels of all other objects: (list . own). */}}
{{- define "cpo.labels" -}}
{{- $root := index . 0 -}}
{{- $fixed := include "cpo.fixedLabels" $root | fromYaml -}}
{{- $version := dict
  "app.kubernetes.io/part-of" (trimAll "-_" $root.Chart.Name)
  "app.kubernetes.io/version" (include "cpo.version" $root) -}}
{{- include "cpo.merged" (list $fixed (index . 1) $root.Values.commonLabels $version) -}}
{{- end }}

{{/* The labels of the pods. Without the chart's version: an upgrade of the chart alone restarts no pod. */}}
{{- define "cpo.podLabels" -}}
{{- $fixed := include "cpo.ownLabels" . | fromYaml -}}
{{- $version := dict
  "app.kubernetes.io/part-of" (trimAll "-_" .Chart.Name)
  "app.kubernetes.io/version" (include "cpo.version" .) -}}
{{- include "cpo.merged" (list $fixed .Values.podLabels .Values.commonLabels $version) -}}
{{- end }}

{{/* The annotations of an object: (list . own), where own annotations win over the common ones. */}}
{{- define "cpo.annotations" -}}
{{- $root := index . 0 -}}
{{- with include "cpo.merged" (list (index . 1) $root.Values.commonAnnotations) | fromYaml -}}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end -}}
{{- end }}

{{- define "cpo.image" -}}
{{- $registry := .Values.image.registry | default (.Values.global).imageRegistry -}}
{{- $name := .Values.image.repository -}}
{{- if $registry }}{{ $name = printf "%s/%s" (trimSuffix "/" $registry) $name }}{{ end -}}
{{- $tag := .Values.image.tag | default .Chart.AppVersion -}}
{{- with .Values.image.digest -}}
{{- printf "%s:%s@%s" $name $tag . -}}
{{- else -}}
{{- printf "%s:%s" $name $tag -}}
{{- end -}}
{{- end }}

{{/* Whether the release may make objects that belong to the whole cluster, other than the operator's rights. */}}
{{- define "cpo.clusterWide" -}}
{{- if or .Values.crds.enabled (not .Values.settings.watchNamespaces) (not .Values.operator.enabled) }}true{{ end -}}
{{- end }}

{{- define "cpo.leaseName" -}}
{{- default (include "cpo.fullname" .) .Values.settings.leaseName -}}
{{- end }}

{{/* The ports of the proxy and of AWS endpoints from their URLs, other than 443, as JSON: {"ports": [...]}. */}}
{{- define "cpo.urlPorts" -}}
{{- $ports := list -}}
{{- range list .Values.proxy.https .Values.aws.endpoints.cognito .Values.aws.endpoints.sts | compact -}}
{{- $url := urlParse . -}}
{{- $port := regexFind ":[0-9]+$" $url.host | trimPrefix ":" | default (eq $url.scheme "https" | ternary "443" "80") -}}
{{- if ne (int $port) 443 }}{{ $ports = append $ports (int $port) }}{{ end -}}
{{- end -}}
{{- dict "ports" (uniq $ports) | toJson -}}
{{- end }}

{{/* The pull secrets as JSON: {"secrets": [...]}. Umbrella charts name them as text or as objects. */}}
{{- define "cpo.imagePullSecrets" -}}
{{- $secrets := list -}}
{{- range concat (.Values.imagePullSecrets | default list) ((.Values.global).imagePullSecrets | default list) -}}
{{- $secrets = append $secrets (kindIs "string" . | ternary (dict "name" .) .) -}}
{{- end -}}
{{- dict "secrets" (uniq $secrets) | toJson -}}
{{- end }}

{{/* The rules on resources and Secrets, where the operator watches: everywhere, or in each watched namespace. */}}
{{- define "cpo.watchRules" -}}
# list and watch: the operator follows every resource. get: the operator reads a resource again after a conflict.
# Not update or patch: the spec belongs to its author.
- apiGroups: [cognito-password-operator.io]
  resources: [cognitouserpasswords]
  verbs: [get, list, watch]
# Conditions, and the record of each attempt, written before Cognito is called.
- apiGroups: [cognito-password-operator.io]
  resources: [cognitouserpasswords/status]
  verbs: [patch]
{{- end }}

{{- define "cpo.secretRules" -}}
# watch and list: to learn of a change within moments. get: the value, just before the operator sets it.
# The operator never writes a Secret here.
- apiGroups: [""]
  resources: [secrets]
  verbs: [get, list, watch]
# An event on each change of reason. patch: a repeated event is counted rather than written anew.
- apiGroups: [events.k8s.io]
  resources: [events]
  verbs: [create, patch]
{{- end }}

{{/* settings.driftInterval in minutes; "" if the text has no such form. */}}
{{- define "cpo.driftMinutes" -}}
{{- $text := toString .Values.settings.driftInterval -}}
{{- if regexMatch "^([0-9]{1,3}h)?([0-9]{1,5}m)?$" $text -}}
{{- $hours := regexFind "^[0-9]+h" $text | trimSuffix "h" | default "0" | atoi -}}
{{- $minutes := regexFind "[0-9]+m$" $text | trimSuffix "m" | default "0" | atoi -}}
{{- add (mul 60 $hours) $minutes -}}
{{- end -}}
{{- end }}

{{/* The command line. A setting that is the operator's own default isn't repeated. */}}
{{- define "cpo.args" -}}
{{- $settings := .Values.settings -}}
- run
{{- with $settings.watchNamespaces }}
- {{ printf "--watch-namespaces=%s" (join "," .) | quote }}
{{- end }}
{{- with $settings.secretSelector }}
- {{ printf "--secret-selector=%s" . | quote }}
{{- end }}
{{- with $settings.ungranted }}
- {{ printf "--ungranted=%s" . | quote }}
{{- end }}
{{- if ne (toString $settings.cognitoRps) "10" }}
- --cognito-rps={{ $settings.cognitoRps }}
{{- end }}
{{- if ne (toString $settings.cognitoBurst) "10" }}
- --cognito-burst={{ $settings.cognitoBurst }}
{{- end }}
{{- if ne $settings.drift "ignore" }}
- {{ printf "--drift=%s" $settings.drift | quote }}
{{- end }}
{{- if ne (include "cpo.driftMinutes" .) "15" }}
- {{ printf "--drift-interval=%s" $settings.driftInterval | quote }}
{{- end }}
{{- if not $settings.leaderElect }}
- --leader-elect=false
{{- end }}
{{- if ne (include "cpo.leaseName" .) "cognito-password-operator" }}
- {{ printf "--lease-name=%s" (include "cpo.leaseName" .) | quote }}
{{- end }}
{{- $listen := printf "%s:%v" $settings.listenAddress $settings.port }}
{{- if ne $listen "[::]:8080" }}
- {{ printf "--listen=%s" $listen | quote }}
{{- end }}
{{- if ne $settings.log.level "info" }}
- {{ printf "--log=%s" $settings.log.level | quote }}
{{- end }}
{{- if ne $settings.log.format "text" }}
- {{ printf "--log-format=%s" $settings.log.format | quote }}
{{- end }}
{{- with .Values.extraArgs }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* The environment variables that the chart sets. */}}
{{- define "cpo.ownEnv" -}}
# The namespace of the operator's key Secret and Lease.
- name: POD_NAMESPACE
  valueFrom:
    fieldRef:
      apiVersion: v1
      fieldPath: metadata.namespace
# The holder of the Lease. A container that starts again recognises its predecessor by both.
- name: POD_NAME
  valueFrom:
    fieldRef:
      apiVersion: v1
      fieldPath: metadata.name
- name: POD_UID
  valueFrom:
    fieldRef:
      apiVersion: v1
      fieldPath: metadata.uid
{{- with .Values.aws.roleSessionName }}
- name: AWS_ROLE_SESSION_NAME
  value: {{ . | quote }}
{{- end }}
{{- with .Values.aws.region }}
- name: AWS_REGION
  value: {{ . | quote }}
{{- end }}
{{- if .Values.aws.fips }}
- name: AWS_USE_FIPS_ENDPOINT
  value: "true"
{{- end }}
{{- if .Values.aws.dualstack }}
- name: AWS_USE_DUALSTACK_ENDPOINT
  value: "true"
{{- end }}
{{- with .Values.aws.endpoints.cognito }}
- name: AWS_ENDPOINT_URL_COGNITO_IDENTITY_PROVIDER
  value: {{ . | quote }}
{{- end }}
{{- with .Values.aws.endpoints.sts }}
- name: AWS_ENDPOINT_URL_STS
  value: {{ . | quote }}
{{- end }}
{{- with .Values.proxy.https }}
- name: HTTPS_PROXY
  value: {{ . | quote }}
{{- end }}
{{- with .Values.proxy.noProxy }}
- name: NO_PROXY
  value: {{ . | quote }}
{{- end }}
{{- if .Values.caBundle.configMap }}
- name: AWS_CA_BUNDLE
  value: /etc/cognito-password-operator/ca/ca.crt
{{- end }}
{{- end }}

{{- define "cpo.env" -}}
{{ include "cpo.ownEnv" . }}
{{- with .Values.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* The label app.kubernetes.io/name. */}}
{{- define "cpo.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end }}

{{/* The name of all objects. */}}
{{- define "cpo.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 52 | trimSuffix "-" -}}
{{- else -}}
{{- $name := include "cpo.name" . -}}
{{- if contains $name .Release.Name -}}
{{- .Release.Name | trunc 52 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 52 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}
{{- end }}

{{- define "cpo.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "cpo.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end }}

{{/*
The labels by which the Deployment and the policies select the pods. A Deployment's selector can't be changed:
with the default name the selector is that of deploy/, so that Helm can adopt an installation by kustomize.
With another name the release is part of the selector, so that two releases in one namespace don't share pods.
*/}}
{{- define "cpo.selectorLabels" -}}
app.kubernetes.io/name: {{ include "cpo.name" . }}
{{- if ne (include "cpo.fullname" .) .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}
{{- end }}

{{/* The labels of objects that don't change with the operator's version, such as the CRDs. */}}
{{- define "cpo.unversionedLabels" -}}
{{- $own := dict
  "app.kubernetes.io/name" (include "cpo.name" .)
  "app.kubernetes.io/instance" .Release.Name
  "app.kubernetes.io/part-of" .Chart.Name
  "app.kubernetes.io/managed-by" .Release.Service
  "helm.sh/chart" (printf "%s-%s" .Chart.Name (.Chart.Version | replace "+" "_")) -}}
{{- toYaml (merge $own .Values.commonLabels) -}}
{{- end }}

{{- define "cpo.version" -}}
{{- .Values.image.tag | default .Chart.AppVersion | replace "+" "_" | trunc 63 | trimSuffix "-" | trimSuffix "." | trimSuffix "_" -}}
{{- end }}

{{- define "cpo.labels" -}}
{{ include "cpo.unversionedLabels" . }}
app.kubernetes.io/version: {{ include "cpo.version" . | quote }}
{{- end }}

{{/* The labels of the pods. Without the chart's version: an upgrade of the chart alone restarts no pod. */}}
{{- define "cpo.podLabels" -}}
{{- $own := dict
  "app.kubernetes.io/name" (include "cpo.name" .)
  "app.kubernetes.io/instance" .Release.Name
  "app.kubernetes.io/part-of" .Chart.Name
  "app.kubernetes.io/version" (include "cpo.version" .) -}}
{{- toYaml (merge $own .Values.podLabels .Values.commonLabels) -}}
{{- end }}

{{/* The annotations of an object: (list . own), where the common annotations win over none of the own ones. */}}
{{- define "cpo.annotations" -}}
{{- $root := index . 0 -}}
{{- $annotations := merge dict (index . 1) $root.Values.commonAnnotations -}}
{{- with $annotations -}}
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

{{/* The port of the proxy, from its URL. */}}
{{- define "cpo.proxyPort" -}}
{{- $url := urlParse .Values.proxy.https -}}
{{- $port := regexFind ":[0-9]+$" $url.host | trimPrefix ":" -}}
{{- if $port -}}{{ $port }}{{- else if eq $url.scheme "https" -}}443{{- else -}}80{{- end -}}
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

{{/* The command line. A setting that is the operator's own default isn't repeated. */}}
{{- define "cpo.args" -}}
{{- $settings := .Values.settings -}}
- run
{{- with $settings.watchNamespaces }}
- --watch-namespaces={{ join "," . }}
{{- end }}
{{- with $settings.secretSelector }}
- {{ printf "--secret-selector=%s" . | quote }}
{{- end }}
{{- with $settings.ungranted }}
- --ungranted={{ . }}
{{- end }}
{{- if ne (toString $settings.cognitoRps) "10" }}
- --cognito-rps={{ $settings.cognitoRps }}
{{- end }}
{{- if ne (toString $settings.cognitoBurst) "10" }}
- --cognito-burst={{ $settings.cognitoBurst }}
{{- end }}
{{- if not $settings.leaderElect }}
- --leader-elect=false
{{- end }}
{{- if ne (include "cpo.leaseName" .) "cognito-password-operator" }}
- --lease-name={{ include "cpo.leaseName" . }}
{{- end }}
{{- $listen := printf "%s:%v" $settings.listenAddress $settings.port }}
{{- if ne $listen "[::]:8080" }}
- {{ printf "--listen=%s" $listen | quote }}
{{- end }}
{{- if ne $settings.log.level "info" }}
- {{ printf "--log=%s" $settings.log.level | quote }}
{{- end }}
{{- if ne $settings.log.format "text" }}
- --log-format={{ $settings.log.format }}
{{- end }}
{{- with .Values.extraArgs }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "cpo.env" -}}
# The namespace of the operator's key Secret and Lease.
- name: POD_NAMESPACE
  valueFrom:
    fieldRef:
      fieldPath: metadata.namespace
# The holder of the Lease. A container that starts again recognises its predecessor by both.
- name: POD_NAME
  valueFrom:
    fieldRef:
      fieldPath: metadata.name
- name: POD_UID
  valueFrom:
    fieldRef:
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
{{- with .Values.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/*
Refuses wrong values with a sentence that says what is right. values.schema.json holds types, names of values and
ranges; a schema can't say a sentence about a pattern, nor compare two values. Each template includes this first:
Helm renders the templates in no fixed order, and with a wrong value another one may fail with words of its own.
*/}}
{{- define "cpo.validate" -}}
{{- $wrong := include "cpo.wrong.missing" . -}}
{{- if not $wrong -}}
{{- $wrong = print
  (include "cpo.wrong.patterns" .)
  (include "cpo.wrong.labels" .)
  (include "cpo.wrong.lists" .)
  (include "cpo.wrong.grants" .)
  (include "cpo.wrong.alerts" .)
  (include "cpo.wrong.together" .) -}}
{{- end -}}
{{- with $wrong -}}
{{- fail (printf "\n\n%s" .) -}}
{{- end -}}
{{- end }}

{{/* The value at a path, (list values path), as JSON: {"value": ...}. "" where there is none. */}}
{{- define "cpo.at" -}}
{{- $value := index . 0 -}}
{{- range splitList "." (index . 1) -}}
{{- $value = kindIs "map" $value | ternary (get (kindIs "map" $value | ternary $value dict) .) "" -}}
{{- end -}}
{{- dict "value" $value | toJson -}}
{{- end }}

{{/* Values that the chart can't do without. null takes away the default, also that of a whole section. */}}
{{- define "cpo.wrong.missing" -}}
{{- $needed := list
  "openshift" "crds.enabled" "crds.keep"
  "operator.enabled" "helmTest.enabled"
  "settings.cognitoRps" "settings.cognitoBurst" "settings.drift" "settings.driftInterval"
  "settings.leaderElect" "settings.listenAddress" "settings.port"
  "settings.log.level" "settings.log.format"
  "aws.fips" "aws.dualstack" "aws.endpoints"
  "proxy" "caBundle"
  "image.repository" "image.pullPolicy"
  "replicas" "terminationGracePeriodSeconds"
  "livenessProbe.periodSeconds" "livenessProbe.timeoutSeconds" "livenessProbe.failureThreshold"
  "readinessProbe.periodSeconds" "readinessProbe.timeoutSeconds" "readinessProbe.failureThreshold"
  "serviceAccount.create"
  "rbac.create" "rbac.aggregateToView" "rbac.aggregateToEdit" "rbac.aggregateToAdmin" "rbac.grantsEditor"
  "networkPolicy.enabled" "networkPolicy.flavor" "networkPolicy.ingress"
  "networkPolicy.egress.dns" "networkPolicy.egress.apiServer" "networkPolicy.egress.podIdentity"
  "networkPolicy.egress.imds"
  "podDisruptionBudget.enabled" "podDisruptionBudget.maxUnavailable"
  "service.enabled"
  "metrics.serviceMonitor.enabled" "metrics.podMonitor.enabled" "metrics.prometheusRule.enabled"
  "metrics.dashboard.enabled" -}}
{{- if .Values.caBundle }}{{ if .Values.caBundle.configMap }}{{ $needed = append $needed "caBundle.key" }}{{ end }}{{ end -}}
{{- $missing := list -}}
{{- range $path := $needed -}}
{{- $prefix := "" -}}
{{- $isThere := true -}}
{{- $value := $.Values -}}
{{- range splitList "." $path -}}
{{- if $isThere -}}
{{- $prefix = printf "%s.%s" $prefix . | trimPrefix "." -}}
{{- $value = index $value . -}}
{{- if or (kindIs "invalid" $value) (and (kindIs "string" $value) (not $value)) -}}
{{- $isThere = false -}}
{{- $missing = append $missing $prefix -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- range uniq $missing }}{{ . }}: the chart needs a value here, neither null nor an empty text: leave {{ . }} out for the default
{{ end -}}
{{- if $missing }}(After `helm upgrade --reuse-values` from an older chart, values of the newer chart are missing: use --reset-then-reuse-values.)
{{ end -}}
{{- end }}

{{/* Texts, by pattern. An empty text, where the chart needs none, is right. */}}
{{- define "cpo.wrong.patterns" -}}
{{- $label := "[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?" -}}
{{- $subdomain := printf "^(%s(\\.%s)*)?$" $label $label -}}
{{- $subdomainWords := "lower case letters, digits, '-' and '.', beginning and ending with a letter or digit" -}}
{{- $namespace := printf "^(%s)?$" $label -}}
{{- $namespaceWords := "is no name of a namespace: 1 to 63 lower case letters, digits and '-', beginning and ending with a letter or digit" -}}
{{- $duration := "^(0|([0-9]+y)?([0-9]+w)?([0-9]+d)?([0-9]+h)?([0-9]+m)?([0-9]+s)?([0-9]+ms)?)$" -}}
{{- $durationWords := "is no duration of Prometheus, such as 30s or 1m" -}}
{{- $registry := "^(([A-Za-z0-9.-]+|\\[[0-9a-fA-F:]+\\])(:[0-9]{1,5})?(/[a-z0-9._-]+)*/?)?$" -}}
{{- $registryWords := "is no registry, such as registry.example.com:5000: a host, then perhaps a port and a path, without https://" -}}
{{- $host := "([^@/\\s]+@)?(\\[[0-9a-fA-F:.]+\\]|[A-Za-z0-9._-]+)" -}}
{{- $port := "(:([1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5]))?" -}}
{{- $url := printf "^(https?://%s%s([/?#]\\S*)?)?$" $host $port -}}
{{- $key := printf "(%s(\\.%s)*/)?[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?" $label $label -}}
{{- $value := "([A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?)?" -}}
{{- $values := printf "\\(\\s*%s(\\s*,\\s*%s)*\\s*\\)" $value $value -}}
{{- $requirement := printf "\\s*(!\\s*%s|%s|%s\\s*(==?|!=)\\s*%s|%s\\s+(in|notin)\\s*%s)\\s*" $key $key $key $value $key $values -}}
{{- $span := "\\[[^\\],]*\\]" -}}
{{- $level := printf "(([^,=\\[{*]+(%s)?|%s)=)?(?i:off|error|warn|info|debug|trace|[0-5])" $span $span -}}
{{- $octet := "(25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])" -}}
{{- $group := "[0-9a-fA-F]{1,4}" -}}
{{- $ipv6 := printf "\\[((%s:){7}%s|((%s:){0,6}%s)?::((%s:){0,6}%s)?)\\]" $group $group $group $group $group $group -}}
{{- $patterns := list
  (list "fullnameOverride" "^([a-z]([a-z0-9-]{0,50}[a-z0-9])?)?$" "is no name for all objects: 1 to 52 lower case letters, digits and '-', beginning with a letter and ending with a letter or digit")
  (list "nameOverride" $namespace "is no name: 1 to 63 lower case letters, digits and '-', beginning and ending with a letter or digit")
  (list "settings.secretSelector" (printf "^(%s(,%s)*)?$" $requirement $requirement) "is no selector of labels in kubectl's syntax, such as password-operator=yes or team in (a,b)")
  (list "settings.leaseName" $subdomain (printf "is no name of a Lease: %s" $subdomainWords))
  (list "settings.listenAddress" (printf "^(%s(\\.%s){3}|%s)$" $octet $octet $ipv6) "is no address: set [::] for every address, 0.0.0.0 for every IPv4 address, or the address of an interface")
  (list "settings.log.level" (printf "^[\\s,]*%s(\\s*,[\\s,]*%s)*[\\s,]*$" $level $level) "is no log filter: write error, warn, info, debug or trace, or levels by module such as info,cognito_password_operator=debug")
  (list "aws.roleArn" "^(arn:aws(-[a-z0-9]+)*:iam::[0-9]{12}:role/([a-zA-Z0-9_+=,.@-]+/)*[a-zA-Z0-9_+=,.@-]+)?$" "is no ARN of an IAM role, such as arn:aws:iam::111122223333:role/cognito-password-operator")
  (list "aws.region" "^([a-z]{2,}(-[a-z0-9]+)+)?$" "is no name of an AWS Region, such as eu-west-1")
  (list "aws.roleSessionName" "^([a-zA-Z0-9_+=,.@-]{2,64})?$" "is no name of a session: 2 to 64 letters, digits and _+=,.@-")
  (list "aws.endpoints.cognito" $url "is no URL, such as https://vpce-0123.cognito-idp.eu-west-1.vpce.amazonaws.com")
  (list "aws.endpoints.sts" $url "is no URL, such as https://vpce-0123.sts.eu-west-1.vpce.amazonaws.com")
  (list "proxy.https" $url "is no URL of a proxy, such as http://proxy.example.com:3128")
  (list "caBundle.configMap" $subdomain (printf "is no name of a ConfigMap: %s" $subdomainWords))
  (list "caBundle.key" "^[a-zA-Z0-9._-]{0,253}$" "is no key of a ConfigMap: letters, digits, '-', '_' and '.'")
  (list "global.imageRegistry" $registry $registryWords)
  (list "image.registry" $registry $registryWords)
  (list "image.repository" "^[a-z0-9]+((\\.|_|__|-+)[a-z0-9]+)*(/[a-z0-9]+((\\.|_|__|-+)[a-z0-9]+)*)*$" "is no name of a repository: lower case letters and digits, with . _ - / between them; the registry, tag and digest have values of their own")
  (list "image.tag" "^([A-Za-z0-9_][A-Za-z0-9_.-]{0,127})?$" "is no tag: at most 128 letters, digits, '_', '.' and '-'; a digest has a value of its own, image.digest")
  (list "image.digest" "^(sha256:[0-9a-f]{64})?$" "is no digest: sha256: and 64 digits and letters a to f")
  (list "priorityClassName" $subdomain (printf "is no name of a PriorityClass: %s" $subdomainWords))
  (list "runtimeClassName" $subdomain (printf "is no name of a RuntimeClass: %s" $subdomainWords))
  (list "serviceAccount.name" $subdomain (printf "is no name of a ServiceAccount: %s" $subdomainWords))
  (list "metrics.serviceMonitor.namespace" $namespace $namespaceWords)
  (list "metrics.podMonitor.namespace" $namespace $namespaceWords)
  (list "metrics.prometheusRule.namespace" $namespace $namespaceWords)
  (list "metrics.dashboard.namespace" $namespace $namespaceWords)
  (list "metrics.serviceMonitor.interval" $duration $durationWords)
  (list "metrics.serviceMonitor.scrapeTimeout" $duration $durationWords)
  (list "metrics.podMonitor.interval" $duration $durationWords)
  (list "metrics.podMonitor.scrapeTimeout" $duration $durationWords) -}}
{{- range $patterns -}}
{{- $value := (include "cpo.at" (list $.Values (index . 0)) | fromJson).value -}}
{{- if and $value (not (regexMatch (index . 1) $value)) }}{{ printf "%s: %q %s" (index . 0) $value (index . 2) }}
{{ end -}}
{{- end -}}
{{- range .Values.settings.watchNamespaces -}}
{{- if not (regexMatch (printf "^%s$" $label) .) }}{{ printf "settings.watchNamespaces: %q %s" . $namespaceWords }}
{{ end -}}
{{- end -}}
{{- range $name, $change := .Values.metrics.prometheusRule.rules -}}
{{- if not (regexMatch $duration (get $change "for")) }}{{ printf "metrics.prometheusRule.rules.%s.for: %q %s" $name $change.for $durationWords }}
{{ end -}}
{{- end -}}
{{- $minutes := include "cpo.driftMinutes" . | default "0" | atoi -}}
{{- if or (lt $minutes 5) (gt $minutes 10080) }}{{ printf "settings.driftInterval: %q is no time from 5m to 168h in hours and minutes, such as 15m or 1h30m" .Values.settings.driftInterval }}
{{ end -}}
{{- if regexMatch "^(127\\.|\\[::1\\])" .Values.settings.listenAddress }}{{ printf "settings.listenAddress: the kubelet's probes don't reach %s: set [::] for every address, or 0.0.0.0 for every IPv4 address" .Values.settings.listenAddress }}
{{ end -}}
{{- range $name := list "maxUnavailable" "minAvailable" -}}
{{- $value := index $.Values.podDisruptionBudget $name -}}
{{- if and (kindIs "string" $value) (not (regexMatch "^[0-9]{1,3}%$" $value)) }}{{ printf "podDisruptionBudget.%s: %q is neither a number nor a percentage such as 50%%" $name $value }}
{{ end -}}
{{- end -}}
{{- end }}

{{/* Maps of labels and annotations. */}}
{{- define "cpo.wrong.labels" -}}
{{- $key := "^([a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?/)?[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?$" -}}
{{- $keyWords := "is no name of a label or annotation: up to 63 letters, digits, '-', '_' and '.', perhaps after a domain and a slash" -}}
{{- $fixed := include "cpo.fixedLabels" . | fromYaml -}}
{{- range $path := list
  "commonLabels" "podLabels" "nodeSelector" "service.labels" "metrics.serviceMonitor.labels" "metrics.podMonitor.labels"
  "metrics.prometheusRule.labels" "metrics.dashboard.labels" -}}
{{- range $name, $value := (include "cpo.at" (list $.Values $path) | fromJson).value | default dict -}}
{{- if not (regexMatch $key $name) }}{{ printf "%s: %q %s" $path $name $keyWords }}
{{ end -}}
{{- if not (regexMatch "^([A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?)?$" ($value | default "")) }}{{ printf "%s: %q, of %s, is no value of a label: at most 63 letters, digits, '-', '_' and '.', beginning and ending with a letter or digit" $path $value $name }}
{{ end -}}
{{- if and (hasKey $fixed $name) (ne $path "nodeSelector") }}{{ printf "%s: the label %s is the chart's own, because Helm or a selector uses it: leave it out" $path $name }}
{{ end -}}
{{- if hasPrefix "rbac.authorization.k8s.io/aggregate-to-" $name }}{{ printf "%s: the label %s would add the operator's own rights to people's roles: use rbac.aggregateToView, rbac.aggregateToEdit and rbac.aggregateToAdmin" $path $name }}
{{ end -}}
{{- end -}}
{{- end -}}
{{- range $path := list
  "commonAnnotations" "crds.annotations" "deploymentAnnotations" "podAnnotations" "service.annotations"
  "serviceAccount.annotations" "metrics.serviceMonitor.annotations" "metrics.podMonitor.annotations"
  "metrics.prometheusRule.annotations" "metrics.dashboard.annotations" -}}
{{- range $name, $value := (include "cpo.at" (list $.Values $path) | fromJson).value | default dict -}}
{{- if not (regexMatch $key (lower $name)) }}{{ printf "%s: %q %s" $path $name $keyWords }}
{{ end -}}
{{- end -}}
{{- end -}}
{{- end }}

{{/* Lists whose entries Kubernetes tells apart by a name: no name may be there twice. */}}
{{- define "cpo.wrong.lists" -}}
{{- $flags := dict
  "watch-namespaces" "settings.watchNamespaces"
  "secret-selector" "settings.secretSelector"
  "ungranted" "settings.ungranted"
  "cognito-rps" "settings.cognitoRps"
  "cognito-burst" "settings.cognitoBurst"
  "drift" "settings.drift"
  "drift-interval" "settings.driftInterval"
  "leader-elect" "settings.leaderElect"
  "lease-name" "settings.leaseName"
  "listen" "settings.listenAddress and settings.port"
  "log" "settings.log.level"
  "log-format" "settings.log.format" -}}
{{- range .Values.extraArgs -}}
{{- $flag := regexFind "^--[^=]+" . -}}
{{- with get $flags (trimPrefix "--" $flag) }}{{ printf "extraArgs: %s has a value of its own: set %s" $flag . }}
{{ end -}}
{{- end -}}
{{- $own := list -}}
{{- range include "cpo.ownEnv" . | fromYamlArray }}{{ $own = append $own .name }}{{ end -}}
{{- $variables := dict
  "AWS_ROLE_SESSION_NAME" "aws.roleSessionName"
  "AWS_REGION" "aws.region"
  "AWS_USE_FIPS_ENDPOINT" "aws.fips"
  "AWS_USE_DUALSTACK_ENDPOINT" "aws.dualstack"
  "AWS_ENDPOINT_URL_COGNITO_IDENTITY_PROVIDER" "aws.endpoints.cognito"
  "AWS_ENDPOINT_URL_STS" "aws.endpoints.sts"
  "HTTPS_PROXY" "proxy.https"
  "NO_PROXY" "proxy.noProxy"
  "AWS_CA_BUNDLE" "caBundle.configMap" -}}
{{- $names := list -}}
{{- range .Values.extraEnv -}}
{{- $setting := get $flags (.name | trimPrefix "CPO_" | lower | replace "_" "-") -}}
{{- if and (hasPrefix "CPO_" .name) $setting }}{{ printf "extraEnv: %s has a value of its own: set %s" .name $setting }}
{{ else if has .name $own }}{{ printf "extraEnv: the chart sets %s itself: %s" .name (get $variables .name | empty | ternary "leave it out" (printf "set %s instead" (get $variables .name))) }}
{{ else if has .name $names }}{{ printf "extraEnv: %s is there twice" .name }}
{{ end -}}
{{- $names = append $names .name -}}
{{- end -}}
{{- $volumes := list -}}
{{- if .Values.caBundle.configMap }}{{ $volumes = list "ca-bundle" }}{{ end -}}
{{- range .Values.extraVolumes -}}
{{- if has .name $volumes }}{{ printf "extraVolumes: a volume %s is there already: give each volume a name of its own" .name }}
{{ end -}}
{{- $volumes = append $volumes .name -}}
{{- end -}}
{{- $mounts := list -}}
{{- if .Values.caBundle.configMap }}{{ $mounts = list "/etc/cognito-password-operator/ca" }}{{ end -}}
{{- range .Values.extraVolumeMounts -}}
{{- if not (has .name $volumes) }}{{ printf "extraVolumeMounts: extraVolumes has no volume %s" .name }}
{{ end -}}
{{- if has .mountPath $mounts }}{{ printf "extraVolumeMounts: something is mounted at %s already: give each mount a path of its own" .mountPath }}
{{ end -}}
{{- $mounts = append $mounts .mountPath -}}
{{- end -}}
{{- range (include "cpo.imagePullSecrets" . | fromJson).secrets -}}
{{- if not (regexMatch "^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$" (get . "name" | default "")) }}{{ printf "imagePullSecrets: %q is no name of a Secret: lower case letters, digits, '-' and '.', beginning and ending with a letter or digit" (get . "name") }}
{{ end -}}
{{- end -}}
{{- end }}

{{/* The rules of the CustomResourceDefinition, before the API server has made a part of the release. */}}
{{- define "cpo.wrong.grants" -}}
{{- $names := list -}}
{{- range .Values.grants -}}
{{- $grant := . -}}
{{- if has .name $names }}{{ printf "grants: two grants are called %s" .name }}
{{ end -}}
{{- $names = append $names .name -}}
{{- if not (regexMatch "^[a-z0-9]([a-z0-9-]*[a-z0-9])?(\\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*$" .name) }}{{ printf "grants: %q is no name of a grant: lower case letters, digits, '-' and '.', beginning and ending with a letter or digit" .name }}
{{ end -}}
{{- if not (regexMatch "^[a-zA-Z0-9_-]+_[0-9a-zA-Z]+$" .userPoolId) }}{{ printf "grants: the userPoolId of %s, %q, is no user pool id such as eu-west-1_AbCdEf123: the Region, an underscore, then letters and digits" .name .userPoolId }}
{{ end -}}
{{- range .usernames -}}
{{- if not (regexMatch "^[\\p{L}\\p{M}\\p{S}\\p{N}\\p{P}]+$" .) }}{{ printf "grants: a username of %s, %q, has white space or a line break" $grant.name . }}
{{ end -}}
{{- end -}}
{{- range .namespaces.names -}}
{{- if not (regexMatch "^[a-z0-9]([a-z0-9-]*[a-z0-9])?$" .) }}{{ printf "grants: %q, of %s, is no name of a namespace: lower case letters, digits and '-', beginning and ending with a letter or digit, without wildcards" . $grant.name }}
{{ end -}}
{{- end -}}
{{- if not (regexMatch "^(arn:aws(-[a-z0-9]+)*:iam::[0-9]{12}:role/([a-zA-Z0-9_+=,.@-]+/)*[a-zA-Z0-9_+=,.@-]+)?$" (get . "roleArn")) }}{{ printf "grants: the roleArn of %s, %q, is no ARN of an IAM role, such as arn:aws:iam::111122223333:role/cognito-passwords" .name .roleArn }}
{{ end -}}
{{- if not (regexMatch "^[a-zA-Z0-9_+=,.@:/-]*$" (get . "externalId")) }}{{ printf "grants: the externalId of %s, %q, must consist of letters, digits and _+=,.@:/-" .name .externalId }}
{{ end -}}
{{- if and (get . "externalId") (not (get . "roleArn")) }}{{ printf "grants: the externalId of %s is for assuming a role: set roleArn too" .name }}
{{ end -}}
{{- if not (regexMatch "^([a-z]{2,}(-[a-z0-9]+)+)?$" (get . "region")) }}{{ printf "grants: the region of %s, %q, is no name of an AWS Region, such as eu-west-1" .name .region }}
{{ end -}}
{{- end -}}
{{- end }}

{{- define "cpo.wrong.alerts" -}}
{{- if .Values.metrics.prometheusRule.rules -}}
{{- $alerts := list -}}
{{- range $file := list "rules.yaml" "tenant-rules.yaml" -}}
{{- range ($.Files.Get (printf "files/monitoring/%s" $file) | fromYaml).groups -}}
{{- range .rules }}{{ if .alert }}{{ $alerts = append $alerts .alert }}{{ end }}{{ end -}}
{{- end -}}
{{- end -}}
{{- range $name, $_ := .Values.metrics.prometheusRule.rules -}}
{{- if not (has $name $alerts) }}{{ printf "metrics.prometheusRule.rules: %s is no alert of this chart; the alerts are %s" $name ($alerts | uniq | join ", ") }}
{{ end -}}
{{- end -}}
{{- end -}}
{{- end }}

{{/* Values that don't go together. */}}
{{- define "cpo.wrong.together" -}}
{{- $settings := .Values.settings -}}
{{- range $name, $_ := .Values.metrics.dashboard.instanceSelector -}}
{{- if not (has $name (list "matchLabels" "matchExpressions")) }}{{ printf "metrics.dashboard.instanceSelector: %s is neither matchLabels nor matchExpressions: put the labels of your Grafana below matchLabels" $name }}
{{ end -}}
{{- end -}}
{{- if and $settings.watchNamespaces (eq (get $settings "ungranted" | default "") "deny") -}}
settings.ungranted: deny needs grants, which belong to the whole cluster: leave settings.watchNamespaces empty, or set ungranted to allow
{{ end -}}
{{- if and .Values.grants $settings.watchNamespaces -}}
grants: an operator with settings.watchNamespaces doesn't read grants, which belong to the whole cluster: leave one of the two empty
{{ end -}}
{{- if and .Values.rbac.grantsEditor (not (include "cpo.clusterWide" .)) -}}
rbac.grantsEditor: the role belongs to the whole cluster, and this release makes nothing cluster-wide (settings.watchNamespaces without crds.enabled): set grantsEditor in the release with the CustomResourceDefinitions
{{ end -}}
{{- if and (gt (int .Values.replicas) 1) (not $settings.leaderElect) -}}
replicas: without settings.leaderElect each replica would set passwords: set replicas to 1, or leaderElect to true
{{ end -}}
{{- $strategy := .Values.updateStrategy | default dict -}}
{{- $type := get $strategy "type" | default "RollingUpdate" -}}
{{- if not (has $type (list "RollingUpdate" "Recreate")) }}{{ printf "updateStrategy.type: %q is neither RollingUpdate nor Recreate" $type }}
{{ end -}}
{{- $rolling := get $strategy "rollingUpdate" | default dict -}}
{{- if and (eq $type "RollingUpdate") (has (toString $rolling.maxSurge) (list "0" "0%")) (has (toString $rolling.maxUnavailable) (list "0" "0%")) -}}
updateStrategy.rollingUpdate: with maxSurge and maxUnavailable both 0 no pod can be replaced: set one of them to 1
{{ end -}}
{{- if and (eq (.Values.dnsPolicy | default "") "None") (not (get (.Values.dnsConfig | default dict) "nameservers")) -}}
dnsPolicy: None needs dnsConfig.nameservers
{{ end -}}
{{- if and .Values.aws.roleArn (not .Values.serviceAccount.create) -}}
aws.roleArn: the chart annotates only a ServiceAccount that the chart makes: set serviceAccount.create to true, or leave aws.roleArn empty and annotate your ServiceAccount with eks.amazonaws.com/role-arn
{{ end -}}
{{- if and .Values.serviceAccount.annotations (not .Values.serviceAccount.create) -}}
serviceAccount.annotations: the chart annotates only a ServiceAccount that the chart makes: set serviceAccount.create to true, or annotate your ServiceAccount yourself
{{ end -}}
{{- if and .Values.metrics.serviceMonitor.enabled .Values.metrics.podMonitor.enabled -}}
metrics: a ServiceMonitor and a PodMonitor would scrape each pod twice: enable one of them
{{ end -}}
{{- if and .Values.metrics.serviceMonitor.enabled (not .Values.service.enabled) -}}
metrics.serviceMonitor: a ServiceMonitor needs the Service of the metrics: set service.enabled to true, or enable metrics.podMonitor instead
{{ end -}}
{{- end }}

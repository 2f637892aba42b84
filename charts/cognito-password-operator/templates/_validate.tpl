{{/*
Refuses wrong values with a sentence that says what is right. values.schema.json holds types, names of values and
ranges; a schema can't say a sentence about a pattern, nor compare two values.
*/}}
{{- define "cpo.validate" -}}
{{- $settings := .Values.settings -}}
{{- $wrong := list -}}
{{- range $settings.watchNamespaces -}}
{{- if not (regexMatch "^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$" .) -}}
{{- $wrong = append $wrong (printf "settings.watchNamespaces: %q is no name of a namespace: 1 to 63 lower case letters, digits and '-', beginning and ending with a letter or digit" .) -}}
{{- end -}}
{{- end -}}
{{- if and (eq $settings.ungranted "deny") $settings.watchNamespaces -}}
{{- $wrong = append $wrong "settings.ungranted: deny needs grants, which belong to the whole cluster: leave settings.watchNamespaces empty, or set ungranted to allow" -}}
{{- end -}}
{{- if and .Values.grants $settings.watchNamespaces -}}
{{- $wrong = append $wrong "grants: an operator with settings.watchNamespaces doesn't read grants, which belong to the whole cluster: leave one of the two empty" -}}
{{- end -}}
{{- if and (gt (int .Values.replicas) 1) (not $settings.leaderElect) -}}
{{- $wrong = append $wrong "replicas: without settings.leaderElect each replica would set passwords: set replicas to 1, or leaderElect to true" -}}
{{- end -}}
{{- if not (regexMatch "^([a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?)?$" $settings.leaseName) -}}
{{- $wrong = append $wrong (printf "settings.leaseName: %q is no name of a Lease: lower case letters, digits, '-' and '.', beginning and ending with a letter or digit" $settings.leaseName) -}}
{{- end -}}
{{- if not (regexMatch "^([0-9.]+|\\[[0-9a-fA-F:]+\\])$" $settings.listenAddress) -}}
{{- $wrong = append $wrong (printf "settings.listenAddress: %q is no address: set [::] for every address, 0.0.0.0 for every IPv4 address, or the address of an interface" $settings.listenAddress) -}}
{{- end -}}
{{- if not (regexMatch "^(arn:aws(-[a-z0-9]+)*:iam::[0-9]{12}:role/([a-zA-Z0-9_+=,.@-]+/)*[a-zA-Z0-9_+=,.@-]+)?$" .Values.aws.roleArn) -}}
{{- $wrong = append $wrong (printf "aws.roleArn: %q is no ARN of an IAM role, such as arn:aws:iam::111122223333:role/cognito-password-operator" .Values.aws.roleArn) -}}
{{- end -}}
{{- if and .Values.aws.roleArn (not .Values.serviceAccount.create) -}}
{{- $wrong = append $wrong "aws.roleArn: the chart annotates only a ServiceAccount that the chart makes: set serviceAccount.create to true, or leave aws.roleArn empty and annotate your ServiceAccount with eks.amazonaws.com/role-arn" -}}
{{- end -}}
{{- if not (regexMatch "^([a-z]{2,}(-[a-z0-9]+)+)?$" .Values.aws.region) -}}
{{- $wrong = append $wrong (printf "aws.region: %q is no name of an AWS Region, such as eu-west-1" .Values.aws.region) -}}
{{- end -}}
{{- if not (regexMatch "^(https?://\\S+)?$" .Values.aws.endpoints.cognito) -}}
{{- $wrong = append $wrong (printf "aws.endpoints.cognito: %q is no URL, such as https://vpce-0123.cognito-idp.eu-west-1.vpce.amazonaws.com" .Values.aws.endpoints.cognito) -}}
{{- end -}}
{{- if not (regexMatch "^(https?://\\S+)?$" .Values.aws.endpoints.sts) -}}
{{- $wrong = append $wrong (printf "aws.endpoints.sts: %q is no URL, such as https://vpce-0123.sts.eu-west-1.vpce.amazonaws.com" .Values.aws.endpoints.sts) -}}
{{- end -}}
{{- if not (regexMatch "^(https?://\\S+)?$" .Values.proxy.https) -}}
{{- $wrong = append $wrong (printf "proxy.https: %q is no URL of a proxy, such as http://proxy.example.com:3128" .Values.proxy.https) -}}
{{- end -}}
{{- if not (regexMatch "^(sha256:[0-9a-f]{64})?$" .Values.image.digest) -}}
{{- $wrong = append $wrong (printf "image.digest: %q is no digest: sha256: and 64 digits and letters a to f" .Values.image.digest) -}}
{{- end -}}
{{- if not (regexMatch "^[a-z0-9]+([._/-]+[a-z0-9]+)*$" .Values.image.repository) -}}
{{- $wrong = append $wrong (printf "image.repository: %q is no name of a repository: lower case letters and digits, with . _ - / between them; the registry, tag and digest have values of their own" .Values.image.repository) -}}
{{- end -}}
{{- range .Values.grants -}}
{{- if not (regexMatch "^[a-zA-Z0-9_-]+_[0-9a-zA-Z]+$" .userPoolId) -}}
{{- $wrong = append $wrong (printf "grants: the userPoolId of %s, %q, is no user pool id such as eu-west-1_AbCdEf123: the Region, an underscore, then letters and digits" .name .userPoolId) -}}
{{- end -}}
{{- end -}}
{{- if and .Values.metrics.serviceMonitor.enabled .Values.metrics.podMonitor.enabled -}}
{{- $wrong = append $wrong "metrics: a ServiceMonitor and a PodMonitor would scrape each pod twice: enable one of them" -}}
{{- end -}}
{{- if and .Values.metrics.serviceMonitor.enabled (not .Values.service.enabled) -}}
{{- $wrong = append $wrong "metrics.serviceMonitor: a ServiceMonitor needs the Service of the metrics: set service.enabled to true, or enable metrics.podMonitor instead" -}}
{{- end -}}
{{- $alerts := list -}}
{{- range (.Files.Get "files/monitoring/rules.yaml" | fromYaml).groups -}}
{{- range .rules }}{{ if .alert }}{{ $alerts = append $alerts .alert }}{{ end }}{{ end -}}
{{- end -}}
{{- range $name, $_ := .Values.metrics.prometheusRule.rules -}}
{{- if not (has $name $alerts) -}}
{{- $wrong = append $wrong (printf "metrics.prometheusRule.rules: %s is no alert of this chart; the alerts are %s" $name ($alerts | uniq | join ", ")) -}}
{{- end -}}
{{- end -}}
{{- if $wrong -}}
{{- fail (printf "\n\n%s\n" (join "\n" $wrong)) -}}
{{- end -}}
{{- end }}

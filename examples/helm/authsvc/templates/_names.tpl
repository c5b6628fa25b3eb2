{{- define "authsvc.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{- /* 40 characters leave room for what is put behind it. */}}
{{- define "authsvc.fullname" -}}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride }}
{{- else if contains (include "authsvc.name" .) .Release.Name }}
{{- .Release.Name | trunc 40 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name (include "authsvc.name" .) | trunc 40 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{- define "authsvc.serviceAccountName" -}}
{{- if .Values.serviceAccount.create }}{{ default (include "authsvc.fullname" .) .Values.serviceAccount.name }}{{ else }}{{ default "default" .Values.serviceAccount.name }}{{ end }}
{{- end }}

{{- define "authsvc.selectorLabels" -}}
app.kubernetes.io/name: {{ include "authsvc.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "authsvc.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{ include "authsvc.selectorLabels" . }}
app.kubernetes.io/version: {{ .Values.image.tag | default .Chart.AppVersion | trunc 63 | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end }}

{{- define "authsvc.image" -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end }}

{{- define "authsvc.sidecar" -}}
{{- if eq .Values.gateway "nginx-sidecar" }}true{{ end }}
{{- end }}

{{- /* Scheme, host without port, host with port, and path of public_url. */}}
{{- define "authsvc.publicScheme" -}}{{ (urlParse .Values.config.public_url).scheme }}{{- end }}
{{- define "authsvc.publicAuthority" -}}{{ (urlParse .Values.config.public_url).host }}{{- end }}
{{- define "authsvc.publicHost" -}}{{ (urlParse .Values.config.public_url).hostname }}{{- end }}
{{- define "authsvc.prefix" -}}{{ (urlParse .Values.config.public_url).path | trimSuffix "/" }}{{- end }}

{{- /* The paths at which browsers and the provider ask authsvc, as a list. The checks are not among them: the gateway alone asks those. */}}
{{- define "authsvc.endpoints" -}}
{{- $prefix := include "authsvc.prefix" . }}
{{- range list "start" "sign_in" "callback" "logout" "sign_out" "signed_out" "session" "sessions" "userinfo" "backchannel-logout" "jwks.json" }}
- {{ $prefix }}/{{ . }}
{{- end }}
{{- range .Values.config.providers }}
- {{ $prefix }}/callback/{{ .name }}
{{- end }}
{{- end }}

{{- define "authsvc.applicationHost" -}}{{ default (include "authsvc.publicHost" .) .Values.application.host }}{{- end }}

{{- /* Where gateways reach the service. */}}
{{- define "authsvc.address" -}}
http://{{ include "authsvc.fullname" . }}.{{ .Release.Namespace }}.svc.{{ .Values.clusterDomain }}:{{ .Values.service.port }}
{{- end }}

{{- /* Names of the identity headers, as a list: the default ones and those that config.headers adds, without those that it removes. */}}
{{- define "authsvc.identityHeaders" -}}
{{- $headers := dict "X-Auth-Request-User" "sub" "X-Auth-Request-Email" "email" "X-Auth-Request-Preferred-Username" "preferred_username" "X-Auth-Request-Groups" "@groups" }}
{{- range $name, $claim := .Values.config.headers }}
{{- $_ := set $headers $name $claim }}
{{- end }}
{{- range $name := keys $headers | sortAlpha }}
{{- if get $headers $name }}
- {{ $name }}
{{- end }}
{{- end }}
{{- end }}

{{- /* Those of ours that this configuration does not write. A visitor must not, either: each gateway takes them out. */}}
{{- define "authsvc.unusedHeaders" -}}
{{- $used := include "authsvc.identityHeaders" . | fromYamlArray }}
{{- range list "X-Auth-Request-Access-Token" "X-Auth-Request-Email" "X-Auth-Request-Groups" "X-Auth-Request-Jwt" "X-Auth-Request-Preferred-Username" "X-Auth-Request-User" }}
{{- if not (has . $used) }}
- {{ . }}
{{- end }}
{{- end }}
{{- end }}

{{- /* A name that nginx takes for a variable. */}}
{{- define "authsvc.variable" -}}
{{ include "authsvc.fullname" . | replace "-" "_" | replace "." "_" }}
{{- end }}

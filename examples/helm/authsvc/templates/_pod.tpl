{{- define "authsvc.securityContext" -}}
runAsUser: 65532
runAsGroup: 65532
runAsNonRoot: true
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end }}

{{- define "authsvc.volumeMounts" -}}
- name: config
  mountPath: /etc/authsvc/config
  readOnly: true
- name: secrets
  mountPath: /etc/authsvc/secrets
  readOnly: true
{{- with .Values.extraVolumeMounts }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- /* Every secret is a file. Folders and not single files are mounted, so that a change reaches the pod. */}}
{{- define "authsvc.volumes" -}}
- name: config
  configMap:
    name: {{ include "authsvc.fullname" . }}
- name: secrets
  projected:
    defaultMode: 0440
    sources:
      {{- if include "authsvc.mountsCookieSecret" . }}
      - secret:
          name: {{ include "authsvc.cookieSecretName" . }}
          items:
            - key: {{ .Values.cookieSecret.key }}
              path: cookie-secret
      {{- end }}
      {{- range $path, $from := dict "client-secret" .Values.clientSecret "store-password" .Values.storePassword "admin-token" .Values.adminToken }}
      {{- if $from.existingSecret }}
      - secret:
          name: {{ $from.existingSecret }}
          items:
            - key: {{ $from.key }}
              path: {{ $path }}
      {{- end }}
      {{- end }}
{{- with .Values.extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "authsvc.env" -}}
- name: AUTHSVC_CONFIG
  value: /etc/authsvc/config/authsvc.yaml
{{- /* Four fifths of what the container may have, for what Go manages; the caches take their part of that. What env says wins: no name may stand twice. */}}
{{- $memory := toString ((.Values.resources).limits).memory }}
{{- $said := dict }}
{{- range .Values.env }}{{ $_ := set $said .name true }}{{ end }}
{{- if and (regexMatch "^[0-9]+[MG]i$" $memory) (not (hasKey $said "GOMEMLIMIT")) }}
- name: GOMEMLIMIT
  value: {{ div (mul (regexFind "^[0-9]+" $memory | int64) (hasSuffix "Gi" $memory | ternary 1024 1) 4) 5 }}MiB
{{- end }}
{{- if .Values.storeURL.existingSecret }}
- name: AUTHSVC_STORE_URL
  valueFrom:
    secretKeyRef:
      name: {{ .Values.storeURL.existingSecret }}
      key: {{ .Values.storeURL.key }}
{{- end }}
{{- with .Values.env }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- /* The container of the service, in a pod of its own and as a sidecar. */}}
{{- define "authsvc.container" -}}
name: authsvc
image: {{ include "authsvc.image" . | quote }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
args: [serve]
env:
  {{- include "authsvc.env" . | nindent 2 }}
ports:
  - name: authsvc
    containerPort: 4180
  - name: admin
    containerPort: 4181
# Readiness is this replica's own: while Redis is away it stays ready, since the page that says so is its to show.
livenessProbe:
  httpGet: {path: /livez, port: admin}
  periodSeconds: 10
  failureThreshold: 3
readinessProbe:
  httpGet: {path: /readyz, port: admin}
  periodSeconds: 2
  failureThreshold: 1
securityContext:
  {{- include "authsvc.securityContext" . | nindent 2 }}
resources:
  {{- toYaml .Values.resources | nindent 2 }}
volumeMounts:
  {{- include "authsvc.volumeMounts" . | nindent 2 }}
{{- end }}

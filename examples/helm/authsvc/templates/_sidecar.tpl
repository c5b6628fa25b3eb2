{{- /* nginx' own file; the site beside it is rendered by authsvc itself, from its configuration, whenever a pod starts. */}}
{{- define "authsvc.nginx" -}}
worker_processes 2;
worker_shutdown_timeout {{ .Values.shutdown.timeoutSeconds }}s;
pid /tmp/nginx.pid;
error_log stderr warn;
events {
    worker_connections 4096;
}
http {
    include /etc/nginx/mime.types;
    default_type application/octet-stream;
    access_log off;
    server_tokens off;
    sendfile on;
    client_body_temp_path /tmp/client_body;
    proxy_temp_path /tmp/proxy;
    fastcgi_temp_path /tmp/fastcgi;
    uwsgi_temp_path /tmp/uwsgi;
    scgi_temp_path /tmp/scgi;
{{- with .Values.trustedProxies }}

    # The visitor's address, as those in front of the pod tell it.
{{- range . }}
    set_real_ip_from {{ . }};
{{- end }}
    real_ip_header X-Forwarded-For;
    real_ip_recursive on;
{{- end }}

    include /etc/nginx/site/*.conf;
}
{{- end }}

{{- define "authsvc.sidecarContainers" -}}
initContainers:
  - name: render
    image: {{ include "authsvc.image" . | quote }}
    imagePullPolicy: {{ .Values.image.pullPolicy }}
    args:
      - nginx
      - render
      - --upstream=127.0.0.1:{{ .Values.sidecar.application.port }}
      - --replica=127.0.0.1:4180
      {{- if .Values.sidecar.tlsSecret }}
      - --listen=8443
      - --certificate=/etc/nginx/tls/tls.crt
      - --certificate-key=/etc/nginx/tls/tls.key
      {{- else }}
      - --listen=8080
      {{- end }}
      - --output=/etc/nginx/site/site.conf
      {{- range .Values.sidecar.render }}
      - {{ . | quote }}
      {{- end }}
    env:
      {{- include "authsvc.env" . | nindent 6 }}
    securityContext:
      {{- include "authsvc.securityContext" . | nindent 6 }}
    resources:
      {{- toYaml .Values.resources | nindent 6 }}
    volumeMounts:
      {{- include "authsvc.volumeMounts" . | nindent 6 }}
      - name: site
        mountPath: /etc/nginx/site
  # A sidecar: it is there before nginx asks, and leaves after nginx has answered its last request.
  - restartPolicy: Always
    {{- include "authsvc.container" . | nindent 4 }}
containers:
  - name: nginx
    image: {{ .Values.sidecar.nginx.image | quote }}
    command: [nginx, -e, stderr, -c, /etc/nginx/authsvc/nginx.conf, -g, daemon off;]
    ports:
      - name: http
        containerPort: {{ ternary 8443 8080 (ne .Values.sidecar.tlsSecret "") }}
    livenessProbe:
      tcpSocket: {port: http}
      periodSeconds: 10
    readinessProbe:
      tcpSocket: {port: http}
      periodSeconds: 2
    lifecycle:
      preStop:
        sleep: {seconds: {{ .Values.shutdown.delaySeconds }}}
    securityContext:
      runAsUser: 101
      runAsGroup: 101
      runAsNonRoot: true
      allowPrivilegeEscalation: false
      readOnlyRootFilesystem: true
      capabilities:
        drop: [ALL]
    resources:
      {{- toYaml .Values.sidecar.nginx.resources | nindent 6 }}
    volumeMounts:
      - name: nginx
        mountPath: /etc/nginx/authsvc
        readOnly: true
      - name: site
        mountPath: /etc/nginx/site
        readOnly: true
      - name: tmp
        mountPath: /tmp
      {{- if .Values.sidecar.tlsSecret }}
      - name: tls
        mountPath: /etc/nginx/tls
        readOnly: true
      {{- end }}
  {{- with .Values.sidecar.application }}
  - name: application
    image: {{ .image | quote }}
    ports:
      - name: application
        containerPort: {{ .port }}
    lifecycle:
      preStop:
        sleep: {seconds: {{ add $.Values.shutdown.delaySeconds 1 }}}
    {{- range $key := list "command" "args" "env" "envFrom" "resources" "volumeMounts" "livenessProbe" "readinessProbe" "securityContext" }}
    {{- with index $.Values.sidecar.application $key }}
    {{ $key }}:
      {{- toYaml . | nindent 6 }}
    {{- end }}
    {{- end }}
  {{- end }}
{{- end }}

{{- define "authsvc.sidecarVolumes" -}}
- name: nginx
  configMap:
    name: {{ include "authsvc.fullname" . }}-nginx
- name: site
  emptyDir:
    sizeLimit: 1Mi
- name: tmp
  emptyDir: {}
{{- with .Values.sidecar.tlsSecret }}
- name: tls
  secret:
    secretName: {{ . }}
    defaultMode: 0440
{{- end }}
{{- end }}

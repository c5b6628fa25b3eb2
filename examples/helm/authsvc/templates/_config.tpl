{{- /* What must be said. As functions of the templates rather than of the schema, so that the message tells what would be right. */}}
{{- define "authsvc.demands" -}}
{{- $_ := required "config.public_url: is missing; write where browsers reach the service, such as https://app.example.com/oauth2" .Values.config.public_url }}
{{- if .Values.config.providers }}
{{- if .Values.clientSecret.existingSecret }}
{{- fail "clientSecret.existingSecret: is for config.oidc, and config.providers stand in its place; mount their Secrets by extraVolumes and write client_secret_file at each" }}
{{- end }}
{{- else }}
{{- $oidc := required "config.oidc: is missing; write issuer and client_id" .Values.config.oidc }}
{{- $_ := required "config.oidc.issuer: is missing; write the provider's issuer" $oidc.issuer }}
{{- $_ := required "config.oidc.client_id: is missing; write our client at the provider" $oidc.client_id }}
{{- end }}
{{- if include "authsvc.sidecar" . }}
{{- if kindIs "invalid" .Values.trustedProxies }}
{{- fail "trustedProxies: is missing; list the networks of what stands in front of the pod, such as 10.244.0.0/16, or write [] if that is nothing" }}
{{- end }}
{{- $_ := required "sidecar.application.image: is missing; write the application's image" .Values.sidecar.application.image }}
{{- else if not .Values.trustedProxies }}
{{- fail "trustedProxies: is missing; list the networks of the gateway's pods, such as 10.244.0.0/16" }}
{{- end }}
{{- if and (or .Values.autoscaling.enabled (gt (int .Values.replicas) 1)) (not .Values.storeURL.existingSecret) }}
{{- $_ := required "config.store.url: is missing; write the Redis that all replicas share, such as redis://redis:6379/0, or name a Secret in storeURL.existingSecret" (.Values.config.store).url }}
{{- end }}
{{- if and .Values.storeURL.existingSecret (.Values.config.store).url }}
{{- fail "storeURL.existingSecret: config.store.url is set as well; remove one of the two" }}
{{- end }}
{{- if and (has .Values.gateway (list "gateway-api" "envoy-gateway")) (not .Values.gatewayAPI.parentRefs) }}
{{- fail "gatewayAPI.parentRefs: is missing; name the Gateway, such as [{name: main, namespace: gateways}]" }}
{{- end }}
{{- if and .Values.networkPolicy.enabled (not .Values.networkPolicy.gateway) }}
{{- fail "networkPolicy.gateway: is missing; list who may ask, such as [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: ingress-nginx}}}]" }}
{{- end }}
{{- if and (include "authsvc.sidecar" .) .Values.autoscaling.enabled (not ((.Values.sidecar.application.resources).requests).cpu) }}
{{- fail "sidecar.application.resources.requests.cpu: is missing; autoscaling measures the pod, and does nothing unless each container says what it requests" }}
{{- end }}
{{- if and (include "authsvc.sidecar" .) .Values.application.service }}
{{- fail "application.service: is not for nginx-sidecar; the application is sidecar.application" }}
{{- end }}
{{- end }}

{{- define "authsvc.cookieSecretName" -}}
{{- default (printf "%s-cookie" (include "authsvc.fullname" .)) .Values.cookieSecret.existingSecret }}
{{- end }}

{{- /* Whether the cookie's secret is the chart's business, and not a file that config names. */}}
{{- define "authsvc.mountsCookieSecret" -}}
{{- if not (.Values.config.cookie).secret_file }}true{{ end }}
{{- end }}

{{- /* The configuration file. */}}
{{- define "authsvc.config" -}}
{{- $config := deepCopy .Values.config }}
{{- $_ := set $config "listen" "0.0.0.0:4180" }}
{{- $_ := set $config "admin_listen" "0.0.0.0:4181" }}
{{- if include "authsvc.sidecar" . }}
{{- /* Only nginx in the pod asks; it has found the visitor's address already. It leaves first, so nothing is to be waited for. */}}
{{- $_ := set $config "trusted_proxies" (list "127.0.0.0/8" "::1/128") }}
{{- $_ := set $config "shutdown" (dict "delay" "0s" "timeout" (printf "%ds" (int .Values.shutdown.timeoutSeconds))) }}
{{- else }}
{{- $_ := set $config "trusted_proxies" (.Values.trustedProxies | default list) }}
{{- $_ := set $config "shutdown" (dict "delay" (printf "%ds" (int .Values.shutdown.delaySeconds)) "timeout" (printf "%ds" (int .Values.shutdown.timeoutSeconds))) }}
{{- end }}
{{- $store := dict "prefix" (printf "%s-%s" .Release.Namespace .Release.Name | trunc 64) | merge ($config.store | default dict) }}
{{- if .Values.storePassword.existingSecret }}
{{- $_ := set $store "password_file" "/etc/authsvc/secrets/store-password" }}
{{- end }}
{{- $_ := set $config "store" $store }}
{{- if include "authsvc.mountsCookieSecret" . }}
{{- $_ := set $config "cookie" (merge (dict "secret_file" "/etc/authsvc/secrets/cookie-secret") ($config.cookie | default dict)) }}
{{- end }}
{{- /* Of several providers each has an issuer and a client of its own; values.yaml brings empty ones. */}}
{{- if $config.providers }}
{{- range $key := list "issuer" "client_id" }}
{{- if not (get ($config.oidc | default dict) $key) }}
{{- $_ := set $config "oidc" (omit ($config.oidc | default dict) $key) }}
{{- end }}
{{- end }}
{{- end }}
{{- if .Values.clientSecret.existingSecret }}
{{- $_ := set $config "oidc" (merge (dict "client_secret_file" "/etc/authsvc/secrets/client-secret") ($config.oidc | default dict)) }}
{{- end }}
{{- if .Values.adminToken.existingSecret }}
{{- $_ := set $config "admin_token_file" "/etc/authsvc/secrets/admin-token" }}
{{- end }}
{{- toYaml $config }}
{{- end }}

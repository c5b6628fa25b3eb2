{{- /* What a browser gets while nobody can tell: auth_request turns whatever is neither 2xx, 401 nor 403 into 500. */}}
{{- define "authsvc.nginxUnavailable" -}}
location @{{ include "authsvc.variable" . }}_unavailable {
    default_type text/plain;
    add_header Cache-Control no-store always;
    add_header Retry-After 5 always;
    return 503 "We cannot check your sign-in right now. If you were signed in, you still are: please try again in a few seconds.\n";
}
{{- end }}

{{/*
The native sidecar for another chart's pod: an item of initContainers. Call it with this chart's
context, such as (index .Subcharts "splitcache") of a parent chart.
*/}}
{{- define "splitcache.sidecar.container" -}}
{{- include "splitcache.validate" . -}}
name: splitcache
restartPolicy: Always
{{ include "splitcache.container" . }}
{{- end -}}

{{/* The volumes of the pod. Its fsGroup must be a group of the homeserver's process. */}}
{{- define "splitcache.sidecar.volumes" -}}
{{ include "splitcache.volumes" . }}
{{- end -}}

{{/* The mount of the socket in the homeserver's container. */}}
{{- define "splitcache.sidecar.mount" -}}
name: splitcache-socket
mountPath: {{ .Values.sidecar.socketDirectory }}
{{- end -}}

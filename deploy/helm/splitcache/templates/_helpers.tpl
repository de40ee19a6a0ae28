{{/* The name of all objects. */}}
{{- define "splitcache.fullname" -}}
{{- if contains .Chart.Name .Release.Name -}}
{{- .Release.Name | trunc 63 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name .Chart.Name | trunc 63 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "splitcache.selectorLabels" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "splitcache.labels" -}}
{{ include "splitcache.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end -}}

{{- define "splitcache.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- .Values.serviceAccount.name | default (include "splitcache.fullname" .) -}}
{{- else -}}
{{- .Values.serviceAccount.name | default "default" -}}
{{- end -}}
{{- end -}}

{{- define "splitcache.image" -}}
{{- if .Values.image.digest -}}
{{- printf "%s@%s" .Values.image.repository .Values.image.digest -}}
{{- else -}}
{{- printf "%s:%s" .Values.image.repository (.Values.image.tag | default .Chart.AppVersion) -}}
{{- end -}}
{{- end -}}

{{/* The keys that the chart sets itself. */}}
{{- define "splitcache.ownConfig" -}}
{{- $config := dict -}}
{{- if eq .Values.mode "sidecar" -}}
{{- $_ := set $config "listen" (list (printf "unix:%s/splitcache.sock" .Values.sidecar.socketDirectory)) -}}
{{- $_ := set $config "socket_mode" .Values.sidecar.socketMode -}}
{{- else -}}
{{- $_ := set $config "listen" (list "0.0.0.0:50051") -}}
{{- end -}}
{{- $_ := set $config "http" "0.0.0.0:9464" -}}
{{- $_ := set $config "health_listen" (list "0.0.0.0:8086") -}}
{{- range $key, $_ := .Values.secretFiles -}}
{{- $_ := set $config $key (printf "/etc/splitcache/secrets/%s" $key) -}}
{{- end -}}
{{- toYaml $config -}}
{{- end -}}

{{/* The configuration file. */}}
{{- define "splitcache.config" -}}
{{- toYaml (merge (include "splitcache.ownConfig" . | fromYaml) .Values.config) -}}
{{- end -}}

{{/* Seconds of a duration of the configuration, such as 1.5m. */}}
{{- define "splitcache.seconds" -}}
{{- $unit := regexFind "[a-z]+$" . -}}
{{- mulf (trimSuffix $unit . | float64) (get (dict "ms" 0.001 "s" 1.0 "m" 60.0 "h" 3600.0 "d" 86400.0) $unit) -}}
{{- end -}}

{{/* Fails if values contradict each other. */}}
{{- define "splitcache.validate" -}}
{{- $config := .Values.config -}}
{{- $files := .Values.secretFiles -}}
{{- $log := $config.log | default "memory" -}}
{{- range $key, $_ := include "splitcache.ownConfig" . | fromYaml -}}
{{- if hasKey $config $key -}}
{{- if hasKey $files $key -}}{{- fail (printf "config.%s: is also set by secretFiles.%s; remove one of them" $key $key) -}}{{- end -}}
{{- fail (printf "config.%s: is set by the chart; remove it" $key) -}}
{{- end -}}
{{- end -}}
{{- if regexMatch "^[a-z]+://[^/]*:[^/]*@" $log -}}
{{- fail "config.log: must not contain a password; use secretFiles.log_password_file" -}}
{{- end -}}
{{- if and (eq .Values.mode "service") (gt (int .Values.replicas) 1) (eq $log "memory") -}}
{{- fail "replicas: more than 1 requires config.log: postgres://…, or workers would read stale events" -}}
{{- end -}}
{{- if and (eq .Values.mode "sidecar") (eq $log "memory") (not .Values.sidecar.singlePod) -}}
{{- fail "config.log: mode sidecar requires postgres://…, or sidecar.singlePod: true if the homeserver has one pod" -}}
{{- end -}}
{{- if ne ($config.tier | default "none") "none" -}}
{{- if eq $log "memory" -}}{{- fail "config.tier: requires config.log: postgres://…" -}}{{- end -}}
{{- if not (or (hasKey $files "tier_key_file") $config.tier_key_file) -}}{{- fail "secretFiles.tier_key_file: is required by config.tier" -}}{{- end -}}
{{- end -}}
{{- $shutdown := include "splitcache.seconds" ($config.shutdown_timeout | default "10s") | float64 -}}
{{- if and (eq .Values.mode "service") (ge $shutdown (float64 .Values.terminationGracePeriodSeconds)) -}}
{{- fail (printf "terminationGracePeriodSeconds: must exceed config.shutdown_timeout (%s)" ($config.shutdown_timeout | default "10s")) -}}
{{- end -}}
{{- if and (eq .Values.mode "service") .Values.metrics.podMonitor.enabled -}}
{{- fail "metrics.podMonitor.enabled: is for mode sidecar; use metrics.serviceMonitor" -}}
{{- end -}}
{{- if and (eq .Values.mode "sidecar") .Values.metrics.serviceMonitor.enabled -}}
{{- fail "metrics.serviceMonitor.enabled: is for mode service; use metrics.podMonitor" -}}
{{- end -}}
{{- if and .Values.metrics.podMonitor.enabled (not .Values.metrics.podMonitor.selector) -}}
{{- fail "metrics.podMonitor.selector: is required; it must match the pods of the homeserver" -}}
{{- end -}}
{{- $isAuthenticated := or (hasKey $files "auth_file") (hasKey $files "tls_client_ca_file") -}}
{{- if and (eq .Values.mode "service") (not $isAuthenticated) (not $config.insecure) -}}
{{- fail "secretFiles.auth_file: is required by mode service, or config.insecure: true if every pod that can connect is trusted" -}}
{{- end -}}
{{- end -}}

{{/* The container of both modes. A homeserver is ready without its sidecar: it then reads its database. */}}
{{- define "splitcache.container" -}}
image: {{ include "splitcache.image" . | quote }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
args: ["serve", "--config", "/etc/splitcache/config/splitcache.yaml"]
ports:
{{- if ne .Values.mode "sidecar" }}
  - name: grpc
    containerPort: 50051
{{- end }}
  - name: http-metrics
    containerPort: 9464
  - name: health
    containerPort: 8086
startupProbe:
  httpGet:
    path: /readyz
    port: health
  periodSeconds: 1
  failureThreshold: 60
livenessProbe:
  httpGet:
    path: /livez
    port: health
  periodSeconds: 10
  timeoutSeconds: 5
  failureThreshold: 6
{{- if eq .Values.mode "service" }}
readinessProbe:
  httpGet:
    path: /readyz
    port: health
  periodSeconds: 5
  timeoutSeconds: 5
{{- end }}
resources:
  {{- toYaml .Values.resources | nindent 2 }}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  runAsNonRoot: true
  runAsUser: 65532
  runAsGroup: 65532
  capabilities:
    drop: ["ALL"]
  seccompProfile:
    type: RuntimeDefault
volumeMounts:
  - name: splitcache-config
    mountPath: /etc/splitcache/config
    readOnly: true
{{- if .Values.secretFiles }}
  - name: splitcache-secrets
    mountPath: /etc/splitcache/secrets
    readOnly: true
{{- end }}
{{- if eq .Values.mode "sidecar" }}
  - name: splitcache-socket
    mountPath: {{ .Values.sidecar.socketDirectory }}
{{- end }}
{{- with .Values.extraVolumeMounts }}
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* The volumes of both modes. */}}
{{- define "splitcache.volumes" -}}
- name: splitcache-config
  configMap:
    name: {{ include "splitcache.fullname" . }}
{{- with .Values.secretFiles }}
- name: splitcache-secrets
  projected:
    # 0440, for the group that fsGroup names.
    defaultMode: 288
    sources:
    {{- range $key, $file := . }}
      - secret:
          name: {{ $file.secretName }}
          items:
            - key: {{ $file.key | quote }}
              path: {{ $key }}
    {{- end }}
{{- end }}
{{- if eq .Values.mode "sidecar" }}
- name: splitcache-socket
  emptyDir:
    medium: Memory
    sizeLimit: 1Mi
{{- end }}
{{- with .Values.extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- end -}}

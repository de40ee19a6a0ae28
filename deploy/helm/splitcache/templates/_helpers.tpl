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

{{/* The files from Secrets: those of the values, and the certificate of cert-manager. */}}
{{- define "splitcache.secretFiles" -}}
{{- $files := deepCopy .Values.secretFiles -}}
{{- if .Values.tls.certManager.enabled -}}
{{- $secret := include "splitcache.certificateSecret" . -}}
{{- $_ := set $files "tls_cert_file" (dict "secretName" $secret "key" "tls.crt") -}}
{{- $_ := set $files "tls_key_file" (dict "secretName" $secret "key" "tls.key") -}}
{{- end -}}
{{- toYaml $files -}}
{{- end -}}

{{/* The Secret that cert-manager writes. */}}
{{- define "splitcache.certificateSecret" -}}
{{- printf "%s-tls" (include "splitcache.fullname" .) -}}
{{- end -}}

{{/* Whether an option that names a file is given, as a Secret or as a path: "true" or nothing. */}}
{{- define "splitcache.hasFile" -}}
{{- $files := include "splitcache.secretFiles" .root | fromYaml -}}
{{- if or (hasKey $files .key) (hasKey .root.Values.config .key) -}}true{{- end -}}
{{- end -}}

{{/* Whether gRPC and HTTP use TLS: "true" or nothing. */}}
{{- define "splitcache.hasTls" -}}
{{- include "splitcache.hasFile" (dict "root" . "key" "tls_cert_file") -}}
{{- end -}}

{{/* The name of the Service in the cluster, which is in the certificate. */}}
{{- define "splitcache.host" -}}
{{- printf "%s.%s.svc" (include "splitcache.fullname" .) .Release.Namespace -}}
{{- end -}}

{{/* How Prometheus scrapes: TLS and credentials. `monitor` names the monitor in the values. */}}
{{- define "splitcache.scrape" -}}
{{- $monitor := get .root.Values.metrics .monitor -}}
{{- if include "splitcache.hasTls" .root }}
scheme: https
{{- $defaults := dict -}}
{{- if eq .root.Values.mode "service" -}}
{{- $_ := set $defaults "serverName" (include "splitcache.host" .root) -}}
{{- end -}}
{{- if .root.Values.tls.certManager.enabled -}}
{{- $_ := set $defaults "ca" (dict "secret" (dict "name" (include "splitcache.certificateSecret" .root) "key" "ca.crt")) -}}
{{- end }}
tlsConfig:
  {{- toYaml (merge (deepCopy $monitor.tlsConfig) $defaults) | nindent 2 }}
{{- end }}
{{- with $monitor.authorization }}
authorization:
  {{- toYaml . | nindent 2 }}
{{- end }}
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
{{- range $key, $_ := include "splitcache.secretFiles" . | fromYaml -}}
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

{{/*
How long the pod serves on while it is removed from the Service. With the memory log no other pod could take its
clients, and the next one waits for its end. Kubernetes before 1.30 does not know the action.
*/}}
{{- define "splitcache.preStopSleepSeconds" -}}
{{- $hasMemoryLog := eq (.Values.config.log | default "memory") "memory" -}}
{{- if or $hasMemoryLog (not (semverCompare ">=1.30.0-0" .Capabilities.KubeVersion.Version)) -}}
0
{{- else -}}
{{- .Values.preStopSleepSeconds -}}
{{- end -}}
{{- end -}}

{{/* Fails if values contradict each other. */}}
{{- define "splitcache.validate" -}}
{{- $config := .Values.config -}}
{{- include "splitcache.validateSecrets" . -}}
{{- include "splitcache.validateTls" . -}}
{{- $files := include "splitcache.secretFiles" . | fromYaml -}}
{{- $log := $config.log | default "memory" -}}
{{- range $key, $_ := include "splitcache.ownConfig" . | fromYaml -}}
{{- if hasKey $config $key -}}
{{- if hasKey $files $key -}}{{- fail (printf "config.%s: is also set by secretFiles.%s; remove one of them" $key $key) -}}{{- end -}}
{{- fail (printf "config.%s: is set by the chart; remove it" $key) -}}
{{- end -}}
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
{{- $timeout := $config.shutdown_timeout | default "10s" -}}
{{- $sleep := include "splitcache.preStopSleepSeconds" . | float64 -}}
{{- $shutdown := addf $sleep (include "splitcache.seconds" $timeout | float64) -}}
{{- if and (eq .Values.mode "service") (ge $shutdown (float64 .Values.terminationGracePeriodSeconds)) -}}
{{- $terms := printf "config.shutdown_timeout (%s)" $timeout -}}
{{- if gt $sleep 0.0 -}}{{- $terms = printf "preStopSleepSeconds (%v) and %s together" $sleep $terms -}}{{- end -}}
{{- fail (printf "terminationGracePeriodSeconds: must exceed %s" $terms) -}}
{{- end -}}
{{- include "splitcache.validateMonitors" . -}}
{{- include "splitcache.validateAccess" . -}}
{{- end -}}

{{/* Fails if a password would be in the ConfigMap. A password may contain / and ?, which end the authority of a valid URL. */}}
{{- define "splitcache.validateSecrets" -}}
{{- $parameter := "(?i)[?&][a-z_]*password=" -}}
{{- $log := .Values.config.log | default "" -}}
{{- if or (regexMatch "(?i)^\\s*[a-z-]+://([^@/?]*:[^@]*|[^?]*:[^?]*)@" $log) (regexMatch $parameter $log) -}}
{{- fail "config.log: must not contain a password; use secretFiles.log_password_file" -}}
{{- end -}}
{{- $tier := .Values.config.tier | default "" -}}
{{- if or (regexMatch "(?i)^\\s*[a-z-]+://.*@" $tier) (regexMatch $parameter $tier) -}}
{{- fail "config.tier: must not contain a user or a password; use secretFiles.tier_username_file and secretFiles.tier_password_file" -}}
{{- end -}}
{{- end -}}

{{/* Fails if values about TLS contradict each other. */}}
{{- define "splitcache.validateTls" -}}
{{- if .Values.tls.certManager.enabled -}}
{{- if eq .Values.mode "sidecar" -}}
{{- fail "tls.certManager.enabled: is for mode service; a sidecar serves a Unix socket, and secretFiles.tls_cert_file secures its HTTP port" -}}
{{- end -}}
{{- range list "tls_cert_file" "tls_key_file" -}}
{{- if or (hasKey $.Values.secretFiles .) (hasKey $.Values.config .) -}}
{{- fail (printf "tls.certManager.enabled: sets %s; remove it from secretFiles and config" .) -}}
{{- end -}}
{{- end -}}
{{- if not .Values.tls.certManager.issuerRef.name -}}
{{- fail "tls.certManager.issuerRef.name: is required by tls.certManager.enabled" -}}
{{- end -}}
{{- else -}}
{{- range list "issuerRef" "dnsNames" -}}
{{- if get $.Values.tls.certManager . -}}
{{- fail (printf "tls.certManager.%s: requires tls.certManager.enabled: true" .) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- $hasKey := include "splitcache.hasFile" (dict "root" . "key" "tls_key_file") -}}
{{- if and (include "splitcache.hasTls" .) (not $hasKey) -}}
{{- fail "secretFiles.tls_key_file: is required by tls_cert_file" -}}
{{- end -}}
{{- if and $hasKey (not (include "splitcache.hasTls" .)) -}}
{{- fail "secretFiles.tls_cert_file: is required by tls_key_file" -}}
{{- end -}}
{{- if and (include "splitcache.hasFile" (dict "root" . "key" "tls_client_ca_file")) (not (include "splitcache.hasTls" .)) -}}
{{- fail "secretFiles.tls_client_ca_file: requires tls_cert_file and tls_key_file" -}}
{{- end -}}
{{- end -}}

{{/* Whether the sidecar authenticates its clients: "true" or nothing. */}}
{{- define "splitcache.isAuthenticated" -}}
{{- $hasAuthFile := include "splitcache.hasFile" (dict "root" . "key" "auth_file") -}}
{{- $hasClientCa := include "splitcache.hasFile" (dict "root" . "key" "tls_client_ca_file") -}}
{{- if or $hasAuthFile $hasClientCa -}}true{{- end -}}
{{- end -}}

{{/* Fails if clients could do more than the values say. */}}
{{- define "splitcache.validateAccess" -}}
{{- $config := .Values.config -}}
{{- $isAuthenticated := include "splitcache.isAuthenticated" . -}}
{{- if and (eq .Values.mode "service") (not $isAuthenticated) (not $config.insecure) -}}
{{- fail "secretFiles.auth_file: is required by mode service, or config.insecure: true if every pod that can connect is trusted" -}}
{{- end -}}
{{- if and $config.insecure $isAuthenticated -}}
{{- fail "config.insecure: remove it, because auth_file or tls_client_ca_file authenticates clients" -}}
{{- end -}}
{{- if and $config.insecure (eq .Values.mode "sidecar") -}}
{{- fail "config.insecure: is for mode service; remove it, because a sidecar serves a Unix socket" -}}
{{- end -}}
{{- if and $config.insecure (ne .Values.service.type "ClusterIP") -}}
{{- fail (printf "service.type: %s serves clients outside of the cluster, so it requires secretFiles.auth_file in place of config.insecure" .Values.service.type) -}}
{{- end -}}
{{- if and (ne .Values.service.type "ClusterIP") (not (include "splitcache.hasTls" .)) -}}
{{- fail (printf "service.type: %s serves clients outside of the cluster, so it requires TLS: tls.certManager or secretFiles.tls_cert_file" .Values.service.type) -}}
{{- end -}}
{{- $adminListen := $config.admin_listen | default list -}}
{{- if kindIs "string" $adminListen -}}{{- $adminListen = splitList "," $adminListen -}}{{- end -}}
{{- range $adminListen -}}
{{- if not (regexMatch "^(unix:|localhost:|127(\\.[0-9]+){3}:|\\[::1\\]:)" .) -}}
{{- fail (printf "config.admin_listen: %s is not a loopback address, and the chart opens no port for it; use 127.0.0.1 and kubectl port-forward" .) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* Fails if a monitor could not scrape. */}}
{{- define "splitcache.validateMonitors" -}}
{{- if and (eq .Values.mode "service") .Values.metrics.podMonitor.enabled -}}
{{- fail "metrics.podMonitor.enabled: is for mode sidecar; use metrics.serviceMonitor" -}}
{{- end -}}
{{- if and (eq .Values.mode "sidecar") .Values.metrics.serviceMonitor.enabled -}}
{{- fail "metrics.serviceMonitor.enabled: is for mode service; use metrics.podMonitor" -}}
{{- end -}}
{{- if and .Values.metrics.podMonitor.enabled (not .Values.metrics.podMonitor.selector) -}}
{{- fail "metrics.podMonitor.selector: is required; it must match the pods of the homeserver" -}}
{{- end -}}
{{- $hasTls := include "splitcache.hasTls" . -}}
{{- $hasAuthFile := include "splitcache.hasFile" (dict "root" . "key" "auth_file") -}}
{{- $hasClientCa := include "splitcache.hasFile" (dict "root" . "key" "tls_client_ca_file") -}}
{{- range $name := list "serviceMonitor" "podMonitor" -}}
{{- $monitor := get $.Values.metrics $name -}}
{{- if $monitor.enabled -}}
{{- if and $monitor.authorization (not $hasAuthFile) -}}
{{- fail (printf "metrics.%s.authorization: requires secretFiles.auth_file" $name) -}}
{{- end -}}
{{- if and $monitor.tlsConfig (not $hasTls) -}}
{{- fail (printf "metrics.%s.tlsConfig: requires secretFiles.tls_cert_file or tls.certManager" $name) -}}
{{- end -}}
{{- if and $hasAuthFile (not $monitor.authorization) (not $monitor.tlsConfig.cert) -}}
{{- fail (printf "metrics.%s.authorization: is required, because auth_file shows metrics to clients of role metrics or operator alone" $name) -}}
{{- end -}}
{{- if and $hasClientCa (not $hasAuthFile) (not $monitor.tlsConfig.cert) -}}
{{- fail (printf "metrics.%s.tlsConfig.cert: is required, because tls_client_ca_file without auth_file requires a client certificate" $name) -}}
{{- end -}}
{{- if and $hasTls (eq $name "podMonitor") (not $monitor.tlsConfig) -}}
{{- fail "metrics.podMonitor.tlsConfig: is required with TLS; it names the authority and the server name of the certificate" -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* The container of both modes. A homeserver is ready without its sidecar: it then reads its database. */}}
{{- define "splitcache.container" -}}
image: {{ include "splitcache.image" . | quote }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
args: ["serve", "--config", "/etc/splitcache/config/splitcache.yaml"]
{{- with .Values.extraEnv }}
env:
  {{- toYaml . | nindent 2 }}
{{- end }}
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
{{- with include "splitcache.preStopSleepSeconds" . | int }}
lifecycle:
  preStop:
    sleep:
      seconds: {{ . }}
{{- end }}
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
{{- if include "splitcache.secretFiles" . | fromYaml }}
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
{{- with include "splitcache.secretFiles" . | fromYaml }}
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

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

{{/* The Secret with the certificate, if there is one. */}}
{{- define "splitcache.tlsSecret" -}}
{{- if .Values.tls.secretName -}}
{{- .Values.tls.secretName -}}
{{- else if .Values.tls.certManager.enabled -}}
{{- printf "%s-tls" (include "splitcache.fullname" .) -}}
{{- end -}}
{{- end -}}

{{/* The configuration file: the chart's keys under those of the values. */}}
{{- define "splitcache.config" -}}
{{- $config := dict -}}
{{- if eq .Values.mode "sidecar" -}}
{{- $_ := set $config "listen" (list (printf "unix:%s/splitcache.sock" .Values.sidecar.socketDirectory)) -}}
{{- $_ := set $config "socket_mode" .Values.sidecar.socketMode -}}
{{- else -}}
{{- $_ := set $config "listen" (list "0.0.0.0:50051") -}}
{{- end -}}
{{- $_ := set $config "http" "0.0.0.0:9464" -}}
{{- $_ := set $config "health_listen" (list "0.0.0.0:8086") -}}
{{- if .Values.logPassword.secretName -}}
{{- $_ := set $config "log_password_file" "/etc/splitcache/secrets/log-password" -}}
{{- end -}}
{{- if .Values.tierKey.secretName -}}
{{- $_ := set $config "tier_key_file" "/etc/splitcache/secrets/tier-key" -}}
{{- end -}}
{{- if .Values.tierPassword.secretName -}}
{{- $_ := set $config "tier_password_file" "/etc/splitcache/secrets/tier-password" -}}
{{- end -}}
{{- if .Values.auth.secretName -}}
{{- $_ := set $config "auth_file" "/etc/splitcache/auth/auth.yaml" -}}
{{- end -}}
{{- if .Values.insecure -}}
{{- $_ := set $config "insecure" true -}}
{{- end -}}
{{- if include "splitcache.tlsSecret" . -}}
{{- $_ := set $config "tls_cert_file" "/etc/splitcache/tls/tls.crt" -}}
{{- $_ := set $config "tls_key_file" "/etc/splitcache/tls/tls.key" -}}
{{- if .Values.tls.verifyClients -}}
{{- $_ := set $config "tls_client_ca_file" "/etc/splitcache/tls/ca.crt" -}}
{{- end -}}
{{- end -}}
{{- toYaml (mergeOverwrite $config .Values.config) -}}
{{- end -}}

{{/* Values that contradict each other. */}}
{{- define "splitcache.validate" -}}
{{- $log := .Values.config.log | default "memory" -}}
{{- if and (gt (int .Values.replicas) 1) (eq $log "memory") -}}
{{- fail "replicas: more than 1 requires config.log: postgres://…; replicas with memory logs would serve stale events" -}}
{{- end -}}
{{- if and (eq .Values.mode "service") (not .Values.auth.secretName) (not .Values.insecure) (not (hasKey .Values.config "auth_file")) -}}
{{- fail "auth.secretName: a service requires it, or insecure: true for a cluster whose pods are all trusted" -}}
{{- end -}}
{{- if and .Values.insecure .Values.auth.secretName -}}
{{- fail "insecure: true contradicts auth.secretName" -}}
{{- end -}}
{{- if and .Values.tls.verifyClients (not (include "splitcache.tlsSecret" .)) -}}
{{- fail "tls.verifyClients: requires tls.secretName or tls.certManager.enabled" -}}
{{- end -}}
{{- if and .Values.tls.certManager.enabled (not .Values.tls.certManager.issuerRef.name) -}}
{{- fail "tls.certManager.issuerRef.name: required if tls.certManager.enabled" -}}
{{- end -}}
{{- if and (.Values.config.tier) (ne .Values.config.tier "none") -}}
{{- if eq $log "memory" -}}{{- fail "config.tier: requires config.log: postgres://…" -}}{{- end -}}
{{- if not (or .Values.tierKey.secretName .Values.config.tier_key_file) -}}{{- fail "tierKey.secretName: required with config.tier" -}}{{- end -}}
{{- end -}}
{{- if contains "@" (regexReplaceAll "^[a-z]+://[^:/@]*@" $log "") -}}
{{- fail "config.log: must not contain a password; use logPassword.secretName" -}}
{{- end -}}
{{- end -}}

{{/* The parts that both modes share: of the container. */}}
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
readinessProbe:
  httpGet:
    path: /readyz
    port: health
  periodSeconds: 5
  timeoutSeconds: 5
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
{{- if or .Values.logPassword.secretName .Values.tierKey.secretName .Values.tierPassword.secretName }}
  - name: splitcache-secrets
    mountPath: /etc/splitcache/secrets
    readOnly: true
{{- end }}
{{- if .Values.auth.secretName }}
  - name: splitcache-auth
    mountPath: /etc/splitcache/auth
    readOnly: true
{{- end }}
{{- if include "splitcache.tlsSecret" . }}
  - name: splitcache-tls
    mountPath: /etc/splitcache/tls
    readOnly: true
{{- end }}
{{- if eq .Values.mode "sidecar" }}
  - name: splitcache-socket
    mountPath: {{ .Values.sidecar.socketDirectory }}
{{- end }}
{{- end -}}

{{/* The parts that both modes share: of the pod. */}}
{{- define "splitcache.volumes" -}}
- name: splitcache-config
  configMap:
    name: {{ include "splitcache.fullname" . }}
{{- if or .Values.logPassword.secretName .Values.tierKey.secretName .Values.tierPassword.secretName }}
- name: splitcache-secrets
  projected:
    defaultMode: 0440
    sources:
    {{- with .Values.logPassword }}{{ if .secretName }}
      - secret:
          name: {{ .secretName }}
          items: [{ key: {{ .key | quote }}, path: log-password }]
    {{- end }}{{ end }}
    {{- with .Values.tierKey }}{{ if .secretName }}
      - secret:
          name: {{ .secretName }}
          items: [{ key: {{ .key | quote }}, path: tier-key }]
    {{- end }}{{ end }}
    {{- with .Values.tierPassword }}{{ if .secretName }}
      - secret:
          name: {{ .secretName }}
          items: [{ key: {{ .key | quote }}, path: tier-password }]
    {{- end }}{{ end }}
{{- end }}
{{- if .Values.auth.secretName }}
- name: splitcache-auth
  secret:
    secretName: {{ .Values.auth.secretName }}
    defaultMode: 0440
    items: [{ key: {{ .Values.auth.key | quote }}, path: auth.yaml }]
{{- end }}
{{- with include "splitcache.tlsSecret" . }}
- name: splitcache-tls
  secret:
    secretName: {{ . }}
    defaultMode: 0440
{{- end }}
{{- if eq .Values.mode "sidecar" }}
- name: splitcache-socket
  emptyDir:
    medium: Memory
    sizeLimit: 1Mi
{{- end }}
{{- end -}}

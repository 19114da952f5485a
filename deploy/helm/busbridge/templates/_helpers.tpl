{{- define "busbridge.name" -}}
{{- if contains "busbridge" .Release.Name -}}{{ .Release.Name | trunc 52 | trimSuffix "-" }}{{- else -}}{{ printf "%s-busbridge" (.Release.Name | trunc 42 | trimSuffix "-") }}{{- end -}}
{{- end -}}

{{/* By which pods are found: no other release has both. */}}
{{- define "busbridge.selector" -}}
app.kubernetes.io/name: busbridge
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "busbridge.labels" -}}
{{ include "busbridge.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end -}}

{{/* A worker without an application beside it. */}}
{{- define "busbridge.alone" -}}
{{- if or .Values.outbox.existingClaim .Values.outbox.urlKey -}}yes{{- end -}}
{{- end -}}

{{/* The settings are a ConfigMap, which whoever looks at the release can read. */}}
{{- define "busbridge.open" -}}
{{- range $key, $value := .Values.settings }}
{{- if and (regexMatch "(password|secret|token|[.]jaas[.]config|[.]pem)$" $key) (ne (toString $value) "") }}
{{- fail (printf "settings: %s is a secret, and would stand in a ConfigMap. Put it into a Secret, name that in the value secret, and set %s_file: /etc/busbridge/KEY" $key $key) }}
{{- end }}
{{- if regexMatch "://[^/@]*:[^/@]+@" (toString $value) }}
{{- fail (printf "settings: %s has a password in it, and would stand in a ConfigMap. Put the whole address into a Secret, name that in the value secret, and set %s_file: /etc/busbridge/KEY (and %s: null)" $key $key $key) }}
{{- end }}
{{- end }}
{{- if and .Values.outbox.urlKey (not .Values.secret) }}
{{- fail "outbox.urlKey is a key of a Secret: name that in the value secret" }}
{{- end }}
{{- if and .Values.outbox.urlKey .Values.outbox.existingClaim }}
{{- fail "outbox.urlKey and outbox.existingClaim are two outboxes: set one of them" }}
{{- end }}
{{- end -}}

{{- define "busbridge.conf" -}}
{{- include "busbridge.open" . }}
# Made by the chart from its value settings.
{{- if .Values.outbox.urlKey }}
outbox.url_file = /etc/busbridge/{{ .Values.outbox.urlKey }}
state.dir = /run/busbridge
{{- else }}
outbox.url = file:/outbox
{{- end }}
http.listen = :9464
log.format = json
shutdown.drain_timeout = {{ .Values.drainSeconds }}s
{{- if .Values.schemas }}
encoding.schemas = /etc/busbridge-schemas
{{- end }}
{{- range $key, $value := .Values.settings }}
{{ $key }} = {{ if kindIs "float64" $value }}{{ int64 $value }}{{ else }}{{ $value }}{{ end }}
{{- end }}
{{ end -}}

{{- define "busbridge.locked" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: ["ALL"]
{{- end -}}

{{- define "busbridge.worker" -}}
name: busbridge
image: {{ printf "%s:%s" .Values.image.repository (.Values.image.tag | default .Chart.AppVersion) | quote }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
{{- if not (include "busbridge.alone" .) }}
restartPolicy: Always
{{- end }}
args: ["-c", "/etc/busbridge/busbridge.conf"{{ if .Values.outbox.urlKey }}, "--standby"{{ end }}]
ports:
  - name: busbridge
    containerPort: 9464
startupProbe:
  httpGet: {path: /livez, port: busbridge}
  periodSeconds: 2
  failureThreshold: 30
livenessProbe:
  httpGet: {path: /livez, port: busbridge}
  periodSeconds: 20
  timeoutSeconds: 5
  failureThreshold: 3
{{- if .Values.readinessProbe }}
readinessProbe:
  httpGet: {path: /readyz, port: busbridge}
  periodSeconds: 5
  timeoutSeconds: 5
{{- end }}
resources: {{- toYaml .Values.resources | nindent 2 }}
securityContext: {{- include "busbridge.locked" . | nindent 2 }}
volumeMounts:
  - name: {{ ternary "state" "outbox" (ne .Values.outbox.urlKey "") }}
    mountPath: {{ ternary "/run/busbridge" "/outbox" (ne .Values.outbox.urlKey "") }}
  - name: config
    mountPath: /etc/busbridge
    readOnly: true
{{- range $namespace, $map := .Values.schemas }}
  - name: schemas-{{ $namespace | replace "_" "-" }}
    mountPath: /etc/busbridge-schemas/{{ $namespace }}
    readOnly: true
{{- end }}
{{- end -}}

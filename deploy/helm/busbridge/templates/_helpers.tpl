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

{{- define "busbridge.conf" -}}
# Made by the chart from its value settings.
outbox.url = file:/outbox
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
{{- if not .Values.outbox.existingClaim }}
restartPolicy: Always
{{- end }}
args: ["-c", "/etc/busbridge/busbridge.conf"]
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
  - name: outbox
    mountPath: /outbox
  - name: config
    mountPath: /etc/busbridge
    readOnly: true
{{- range $namespace, $map := .Values.schemas }}
  - name: schemas-{{ $namespace | replace "_" "-" }}
    mountPath: /etc/busbridge-schemas/{{ $namespace }}
    readOnly: true
{{- end }}
{{- end -}}

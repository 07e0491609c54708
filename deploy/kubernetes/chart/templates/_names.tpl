{{- define "sallyport.name" -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- end }}

{{- define "sallyport.labels" -}}
app.kubernetes.io/name: sallyport
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end }}

{{- define "sallyport.select" -}}
app.kubernetes.io/name: sallyport
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .part }}
{{- end }}

{{- define "sallyport.image" -}}
{{ .root.Values.image.registry }}/{{ .part }}:{{ .root.Values.image.tag | default .root.Chart.AppVersion }}
{{- end }}

{{- define "sallyport.pod" -}}
automountServiceAccountToken: false
enableServiceLinks: false
securityContext:
  runAsNonRoot: true
  runAsUser: 65532
  runAsGroup: 65532
  fsGroup: 65532
  fsGroupChangePolicy: OnRootMismatch
  seccompProfile: {type: RuntimeDefault}
{{- with .root.Values.image.pullSecrets }}
imagePullSecrets: {{ toJson . }}
{{- end }}
{{- if .root.Values.spread.enabled }}
topologySpreadConstraints:
{{- range $key := list "kubernetes.io/hostname" "topology.kubernetes.io/zone" }}
  - maxSkew: 1
    topologyKey: {{ $key }}
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels: {{- include "sallyport.select" (dict "root" $.root "part" $.part) | nindent 8 }}
{{- end }}
{{- end }}
{{- end }}

{{- define "sallyport.container" -}}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: {drop: [ALL]}
{{- end }}

{{- define "sallyport.settings" -}}
{{- range $name, $value := . -}}
- {name: {{ $name }}, value: {{ $value | toString | quote }}}
{{ end }}
{{- end }}

{{- /* A volume of secrets: files of a CSI driver where its class is named, else the Secret, or two. */}}
{{- define "sallyport.secretVolume" -}}
{{- $class := get .root.Values.secretFiles.classes .name -}}
{{- if $class -}}
{name: {{ .name }}, csi: {driver: {{ .root.Values.secretFiles.driver }}, readOnly: true, volumeAttributes: {secretProviderClass: {{ $class }}}}}
{{- else if and .ca (ne .ca .secret) -}}
{name: {{ .name }}, projected: {defaultMode: 0440, sources: [{secret: {name: {{ .secret }}, items: [{key: password, path: password}]}}, {secret: {name: {{ .ca }}, items: [{key: ca.crt, path: ca.crt}]}}]}}
{{- else -}}
{name: {{ .name }}, secret: {secretName: {{ .secret }}, defaultMode: 0440}}
{{- end -}}
{{- end }}

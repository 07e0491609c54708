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

{{- /* Secrets are named, never written: whoever reads the release or the pod would have them. */}}
{{- define "sallyport.settings" -}}
{{- range $name, $value := . -}}
{{- $files := "make it a key of the Secret that `files` beside it names" -}}
{{- if has $name (list "SALLYPORT_DATABASE_PASSWORD" "SALLYPORT_REDIS_PASSWORD" "SALLYPORT_JOURNAL_PASSWORD" "SALLYPORT_JOIN_TOKEN" "SALLYPORT_ACME_EAB_KEY") }}{{ fail (printf "settings.%s: a secret has no place in values: %s, and write %s_FILE: /etc/sallyport/files/KEY" $name $files $name) }}{{ end -}}
{{- if regexMatch "://[^/@ ]*:[^/@ ]*@|-----BEGIN" ($value | toString) }}{{ fail (printf "settings.%s: it holds a password or a key, which has no place in values: %s" $name $files) }}{{ end -}}
{{- /* Helm has numbers of a file as fractions, and writes large ones by powers of ten. */}}
{{- $whole := and (kindIs "float64" $value) (eq (floor $value) $value) -}}
- {name: {{ $name }}, value: {{ ternary (printf "%.0f" ($value | float64)) ($value | toString) $whole | quote }}}
{{ end }}
{{- end }}

{{- /* A volume of secrets: files of a CSI driver where its class is named, else the Secret, or two. */}}
{{- define "sallyport.secretVolume" -}}
{{- $class := get .root.Values.secretFiles.classes (.class | default .name) -}}
{{- if $class -}}
{name: {{ .name }}, csi: {driver: {{ .root.Values.secretFiles.driver }}, readOnly: true, volumeAttributes: {secretProviderClass: {{ $class }}}}}
{{- else if and .ca (ne .ca .secret) -}}
{name: {{ .name }}, projected: {defaultMode: 0440, sources: [{secret: {name: {{ .secret }}, items: [{key: password, path: password}]}}, {secret: {name: {{ .ca }}, items: [{key: ca.crt, path: ca.crt}]}}]}}
{{- else -}}
{name: {{ .name }}, secret: {secretName: {{ .secret }}, defaultMode: 0440}}
{{- end -}}
{{- end }}

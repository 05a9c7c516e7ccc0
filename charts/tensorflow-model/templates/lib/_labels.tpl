{{/* Labels that select a component's pods and never change. Takes dict "root" and "component". */}}
{{- define "tensorflow-model.selectorLabels" -}}
app.kubernetes.io/name: {{ include "tensorflow-model.name" .root }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end }}

{{/* Labels of an object. Takes dict "root" and "component". */}}
{{- define "tensorflow-model.labels" -}}
{{ include "tensorflow-model.selectorLabels" . }}
app.kubernetes.io/part-of: {{ .root.Chart.Name }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" }}
{{- with .root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/*
Labels of a component's pods: no version of the chart, so that a chart upgrade alone restarts nothing.
Takes dict "root" and "component".
*/}}
{{- define "tensorflow-model.podLabels" -}}
{{ include "tensorflow-model.selectorLabels" . }}
tensorflow-model/model-store: {{ include "tensorflow-model.modelStore.claimName" .root | trunc 63 | trimSuffix "-" }}
{{- with include "tensorflow-model.modelKey" .root }}
tensorflow-model/model-key: {{ . | quote }}
{{- end }}
{{- with .root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- with (index .root.Values .component).podLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* The annotations block of an object, or nothing. Takes dict "root" and "annotations" (its own). */}}
{{- define "tensorflow-model.annotations" -}}
{{- with merge (dict) .annotations .root.Values.commonAnnotations -}}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

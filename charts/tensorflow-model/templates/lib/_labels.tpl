{{/* Labels that select a component's pods and never change. Takes dict "root" and "component". */}}
{{- define "tensorflow-model.selectorLabels" -}}
{{- include "tensorflow-model.inputs" (dict "template" "selectorLabels" "needs" (list "root" "component") "given" .) -}}
app.kubernetes.io/name: {{ include "tensorflow-model.name" .root | quote }}
app.kubernetes.io/instance: {{ .root.Release.Name | quote }}
app.kubernetes.io/component: {{ .component | quote }}
{{- end }}

{{/* Labels of an object. Takes dict "root" and "component", and "labels" of its own where it has some. */}}
{{- define "tensorflow-model.labels" -}}
{{- $version := dict
  "app.kubernetes.io/part-of" .root.Chart.Name
  "app.kubernetes.io/version" .root.Chart.AppVersion
  "app.kubernetes.io/managed-by" .root.Release.Service
  "helm.sh/chart" (printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_")
}}
{{- $selector := include "tensorflow-model.selectorLabels" . | fromYaml }}
{{- merge $selector (default dict .labels) .root.Values.commonLabels $version | toYaml }}
{{- end }}

{{/*
Labels of a component's pods: no version of the chart, so that a chart upgrade alone restarts nothing.
Takes dict "root", "component" and "modelKey" ("" leaves that label out).
*/}}
{{- define "tensorflow-model.podLabels" -}}
{{- include "tensorflow-model.inputs" (dict "template" "podLabels" "needs" (list "root" "component" "modelKey") "given" .) -}}
{{- $labels := include "tensorflow-model.selectorLabels" . | fromYaml }}
{{- range $name, $claim := include "tensorflow-model.nodeLabels" (pick . "root" "component") | fromJson }}
  {{- $_ := set $labels $name $claim }}
{{- end }}
{{- with .modelKey }}
  {{- $_ := set $labels "tensorflow-model/model-key" . }}
{{- end }}
{{- merge $labels (index .root.Values .component).podLabels .root.Values.commonLabels | toYaml }}
{{- end }}

{{/*
The annotations block of an object or pod, or nothing. Takes dict "root" and "annotations" (its own, which win over
commonAnnotations).
*/}}
{{- define "tensorflow-model.annotations" -}}
{{- include "tensorflow-model.inputs" (dict "template" "annotations" "needs" (list "root" "annotations") "given" .) -}}
{{- with merge (dict) (default dict .annotations) .root.Values.commonAnnotations -}}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

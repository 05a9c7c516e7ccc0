{{/*
Metadata of an object. Takes dict "root" and "component", and where they differ "name" (else <fullname>-<component>),
"labels" and "annotations" of its own, which win over those of all objects. The namespace is for those who render the
chart and apply it by other means than Helm.
*/}}
{{- define "tensorflow-model.metadata" -}}
{{- include "tensorflow-model.inputs" (dict "template" "metadata" "needs" (list "root" "component") "given" .) -}}
name: {{ default (printf "%s-%s" (include "tensorflow-model.fullname" .root) .component) .name | quote }}
namespace: {{ .root.Release.Namespace | quote }}
labels:
  {{- include "tensorflow-model.labels" . | nindent 2 }}
{{- with include "tensorflow-model.annotations" (dict "root" .root "annotations" .annotations) }}
{{ . }}
{{- end }}
{{- end }}

{{/* Spec of a claim the chart makes. Takes its values. */}}
{{- define "tensorflow-model.claimSpec" -}}
accessModes:
  {{- toYaml .accessModes | nindent 2 }}
{{- with .storageClass }}
storageClassName: {{ ternary "" . (eq . "-") | quote }}
{{- end }}
resources:
  requests:
    storage: {{ .size | quote }}
{{- with .volumeName }}
volumeName: {{ . | quote }}
{{- end }}
{{- range $name := list "selector" "dataSource" }}
{{- with index $ $name }}
{{ $name }}:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}
{{- end }}

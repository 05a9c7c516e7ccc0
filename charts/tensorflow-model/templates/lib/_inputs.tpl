{{/*
Check the inputs of a named template that takes a dict, and name that template when one is missing.
Takes dict "template" (its name), "needs" (list of keys), "given" (what it was called with). Renders to nothing.
*/}}
{{- define "tensorflow-model.inputs" -}}
{{- range .needs }}
  {{- if not (hasKey $.given .) }}
    {{- fail (printf "template %s takes %s: %q is missing" $.template (join ", " $.needs) .) }}
  {{- end }}
{{- end }}
{{- end }}

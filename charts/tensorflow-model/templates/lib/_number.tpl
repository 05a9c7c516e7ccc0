{{/*
A number as text, whole ones without a point. `--set` gives a decimal as text and a values file gives a whole number as
a decimal; both must render, and be hashed, like the number they mean. Takes the number.
*/}}
{{- define "tensorflow-model.number" -}}
{{- . | toString | float64 | toJson }}
{{- end }}

{{/* A whole number in digits, however a values file or `--set` gave it. Takes the number. */}}
{{- define "tensorflow-model.wholeNumber" -}}
{{- . | toString | float64 | int64 }}
{{- end }}

{{/*
A version in digits. Text is handed on as it is: a version may have more digits than Helm keeps of a number. Takes the
version.
*/}}
{{- define "tensorflow-model.versionNumber" -}}
{{- if typeIs "string" . }}
{{- . }}
{{- else }}
{{- include "tensorflow-model.wholeNumber" . }}
{{- end }}
{{- end }}

{{/* What cannot be a name, a version, or go with the task, one sentence a line. Takes the root context. */}}
{{- define "tensorflow-model.validation.model" -}}
{{- $model := .Values.model }}
{{- if not (regexMatch "^[A-Za-z0-9][A-Za-z0-9_.-]{0,127}$" (default "" $model.name)) }}
model.name is {{ toJson $model.name }} but it is a folder and a part of URLs as it stands: use letters, digits, "_", "-" and ".", at most 128, the first a letter or digit
{{- end }}
{{- if not (or (kindIs "invalid" $model.version) (eq (toString $model.version) "")) }}
{{- include "tensorflow-model.validation.version" (dict "key" "model.version" "version" $model.version) }}
{{- end }}
{{- range $version := .Values.server.config.versions }}
{{- include "tensorflow-model.validation.version" (dict "key" "server.config.versions" "version" $version) }}
{{- end }}
{{- range $label, $version := .Values.server.config.versionLabels }}
{{- include "tensorflow-model.validation.version" (dict "key" (printf "server.config.versionLabels.%s" $label) "version" $version) }}
{{- end }}
{{- if and $model.labels (has $model.task (list "regression" "raw")) }}
model.labels names classes but model.task is {{ $model.task }}, which has none: set model.task to classification or multilabel, or leave the labels out
{{- end }}
{{- $seen := dict }}
{{- range $label := $model.labels }}
{{- if hasKey $seen $label }}
model.labels has {{ toJson $label }} twice, so an answer would not say which class it means: give each class its own name
{{- end }}
{{- $_ := set $seen $label true }}
{{- end }}
{{- end }}

{{/*
What TensorFlow Serving would not take for a version, or Helm has not kept as it was written. Takes dict "key" and
"version".
*/}}
{{- define "tensorflow-model.validation.version" -}}
{{- $isText := typeIs "string" .version }}
{{- $number := .version | toString | float64 }}
{{- $isWhole := ternary (regexMatch "^[1-9][0-9]*$" (toString .version)) (and (ge $number 1.0) (eq $number (floor $number))) $isText }}
{{- $digits := include "tensorflow-model.versionNumber" .version }}
{{- if not $isWhole }}
{{ .key }} is {{ toJson .version }} but TensorFlow Serving's versions are whole numbers from 1, without zeros in front: write it as one, for example 3
{{- else if and (not $isText) (ge $number 9007199254740992.0) }}
{{ .key }} is a number of 9007199254740992 (2^53) or more, of which Helm does not keep the last digits: quote it
{{- else if or (gt (len $digits) 19) (and (eq (len $digits) 19) (gt $digits "9223372036854775807")) }}
{{ .key }} is {{ $digits }} but TensorFlow Serving's versions end at 9223372036854775807 (2^63 - 1): use a smaller number
{{- end }}
{{- end }}

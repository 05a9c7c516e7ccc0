{{/* What cannot be the start of objects' names, one sentence. Takes the root context. */}}
{{- define "tensorflow-model.validation.names" -}}
{{- $name := include "tensorflow-model.fullname" . }}
{{- if not (regexMatch "^[a-z]([-a-z0-9]*[a-z0-9])?$" $name) }}
{{- $proposal := $name | lower | replace "_" "-" | replace "." "-" }}
the objects of this release would be called {{ $name }}-..., from the release's name {{ .Release.Name }} and the chart's name or alias {{ .Chart.Name }}, but names of Services have small letters, digits and "-" alone, the first a letter: set fullnameOverride={{ ternary $proposal (printf "m-%s" $proposal) (regexMatch "^[a-z]" $proposal) }}
{{- end }}
{{- if and .Values.serviceAccount.create (eq (default "" .Values.serviceAccount.name) "default") }}
serviceAccount.name is default and serviceAccount.create is true but every namespace has that account already: set serviceAccount.create=false, or another name
{{- end }}
{{- if not .Values.enabled }}
enabled is false, which only a parent chart's condition acts on: name it there (condition: {{ .Chart.Name }}.enabled), or leave it out and uninstall the release instead
{{- end }}
{{- end }}

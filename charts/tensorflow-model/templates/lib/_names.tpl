{{/* Name of the chart, or its override. Takes the root context. */}}
{{- define "tensorflow-model.name" -}}
{{- include "tensorflow-model.shortName" (default .Chart.Name .Values.nameOverride) }}
{{- end }}

{{/*
Prefix of every object's name: <release>-<chart>, or the release's name where it holds the chart's already. Not so for an
alias below a parent: a release whose name holds two of them would have their objects by one name. Takes the root context.
*/}}
{{- define "tensorflow-model.fullname" -}}
{{- $name := include "tensorflow-model.name" . }}
{{- $isOnlyOne := or .Chart.IsRoot (eq .Chart.Name "tensorflow-model") }}
{{- $release := ternary .Release.Name (printf "%s-%s" .Release.Name $name) (and $isOnlyOne (contains $name .Release.Name)) }}
{{- include "tensorflow-model.shortName" (default $release .Values.fullnameOverride) }}
{{- end }}

{{/*
At most 39 characters of a name, so that the longest suffix ("-training-<8 digits>-<5 of the pod>") still fits into a
label's 63. A longer name ends in a digest of it: two releases never share one. Takes the name.
*/}}
{{- define "tensorflow-model.shortName" -}}
{{- if gt (len .) 39 }}
{{- printf "%s-%s" (. | trunc 30 | trimSuffix "-") (sha256sum . | trunc 8) }}
{{- else }}
{{- . }}
{{- end }}
{{- end }}

{{/* Name of the ServiceAccount all pods run as. Takes the root context. */}}
{{- define "tensorflow-model.serviceAccountName" -}}
{{- $own := ternary (include "tensorflow-model.fullname" .) "default" .Values.serviceAccount.create }}
{{- default $own .Values.serviceAccount.name }}
{{- end }}

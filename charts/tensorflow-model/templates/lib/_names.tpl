{{/* Name of the chart, or its override. */}}
{{- define "tensorflow-model.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 40 | trimSuffix "-" }}
{{- end }}

{{/* Prefix of every object's name: <release>-<chart>, or the release's name where it holds the chart's already. */}}
{{- define "tensorflow-model.fullname" -}}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" }}
{{- else if contains (include "tensorflow-model.name" .) .Release.Name }}
{{- .Release.Name | trunc 40 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name (include "tensorflow-model.name" .) | trunc 40 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{/* Name of the ServiceAccount all pods run as. */}}
{{- define "tensorflow-model.serviceAccountName" -}}
{{- if .Values.serviceAccount.create }}
{{- default (include "tensorflow-model.fullname" .) .Values.serviceAccount.name }}
{{- else }}
{{- default "default" .Values.serviceAccount.name }}
{{- end }}
{{- end }}

{{/* Name of the PersistentVolumeClaim behind the model store. */}}
{{- define "tensorflow-model.modelStore.claimName" -}}
{{- default (printf "%s-model-store" (include "tensorflow-model.fullname" .)) .Values.modelStore.pvc.existingClaim }}
{{- end }}

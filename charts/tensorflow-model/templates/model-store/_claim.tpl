{{/* Name of the PersistentVolumeClaim behind the model store. Takes the root context. */}}
{{- define "tensorflow-model.modelStore.claimName" -}}
{{- default (printf "%s-model-store" (include "tensorflow-model.fullname" .)) .Values.modelStore.pvc.existingClaim }}
{{- end }}

{{/* The claim's name as a label of the pods that mount it. Takes the root context. */}}
{{- define "tensorflow-model.modelStore.label" -}}
{{- include "tensorflow-model.modelStore.claimName" . | trunc 63 | trimAll "-." }}
{{- end }}

{{/* "true" when the volume can be attached to one node only, else nothing. Takes the root context. */}}
{{- define "tensorflow-model.modelStore.isOnOneNode" -}}
{{- $modes := .Values.modelStore.pvc.accessModes }}
{{- if and (not (has "ReadWriteMany" $modes)) (or .Values.training.enabled (not (has "ReadOnlyMany" $modes))) -}}
true
{{- end }}
{{- end }}

{{/* "true" where the model is in the model store, "" where it comes from a URI or an image. Takes the root context. */}}
{{- define "tensorflow-model.modelStore.isUsed" -}}
{{- $source := include "tensorflow-model.model.source" . | fromJson }}
{{- if not (or $source.uri $source.image) -}}
true
{{- end }}
{{- end }}

{{/* "true" where that is a volume, "" where it is a bucket. Takes the root context. */}}
{{- define "tensorflow-model.modelStore.isVolume" -}}
{{- if and (include "tensorflow-model.modelStore.isUsed" .) (not (include "tensorflow-model.modelStore.isS3" .)) -}}
true
{{- end }}
{{- end }}

{{/*
"true" for a component whose pods mount the model store's volume, else "": training writes it, the loader in the server's pods
reads it, the api asks the server. Takes dict "root" and "component".
*/}}
{{- define "tensorflow-model.modelStore.isMounted" -}}
{{- include "tensorflow-model.inputs" (dict "template" "modelStore.isMounted" "needs" (list "root" "component") "given" .) -}}
{{- if and (has .component (list "training" "server")) (include "tensorflow-model.modelStore.isVolume" .root) -}}
true
{{- end }}
{{- end }}

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
{{- $isShared := or (has "ReadWriteMany" $modes) (and (not .Values.training.enabled) (has "ReadOnlyMany" $modes)) }}
{{- if and (include "tensorflow-model.modelStore.isVolume" .) (not $isShared) -}}
true
{{- end }}
{{- end }}

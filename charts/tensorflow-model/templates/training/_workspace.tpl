{{/* Name of the claim that checkpoints, logs and fetched data are kept in. Takes the root context. */}}
{{- define "tensorflow-model.workspace.claimName" -}}
{{- default (printf "%s-workspace" (include "tensorflow-model.fullname" .)) .Values.training.workspace.existingClaim }}
{{- end }}

{{/* The claim's name as a label of the pods that mount it. Takes the root context. */}}
{{- define "tensorflow-model.workspace.label" -}}
{{- include "tensorflow-model.workspace.claimName" . | trunc 63 | trimAll "-." }}
{{- end }}

{{/* "true" for a component whose pods mount the workspace's claim, else "". Takes dict "root" and "component". */}}
{{- define "tensorflow-model.workspace.isMounted" -}}
{{- $training := .root.Values.training }}
{{- if and $training.enabled $training.workspace.enabled (has .component (list "training" "tensorboard")) -}}
true
{{- end }}
{{- end }}

{{/* "true" when the workspace can be attached to one node only, else nothing. Takes the root context. */}}
{{- define "tensorflow-model.workspace.isOnOneNode" -}}
{{- $training := .Values.training }}
{{- if and $training.enabled $training.workspace.enabled (not (has "ReadWriteMany" $training.workspace.accessModes)) -}}
true
{{- end }}
{{- end }}

{{/*
Key of the model: a digest of the training inputs and of nothing else. "" when nothing is trained.
It is the model's folder in the store; equal inputs are trained once.
*/}}
{{- define "tensorflow-model.modelKey" -}}
{{- if .Values.training.enabled }}
{{- $image := include "tensorflow-model.image" (dict "root" . "component" "training") }}
{{- $inputs := dict "params" .Values.training.params "dataset" .Values.training.dataset "image" $image "network" "dense-1" }}
{{- $inputs | toJson | sha256sum | trunc 12 }}
{{- end }}
{{- end }}

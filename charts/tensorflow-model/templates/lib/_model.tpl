{{/*
Key of the model this release trains: a digest of the training inputs and of nothing else, 12 hexadecimal digits. It is
the model's folder in the store; equal inputs are trained once. Takes the root context.
*/}}
{{- define "tensorflow-model.model.key" -}}
{{- $training := .Values.training }}
{{- $params := dict }}
{{- range $name, $value := $training.params }}
  {{- $_ := set $params $name ($value | toString | float64) }}
{{- end }}
{{- $image := default (include "tensorflow-model.image" (dict "root" . "component" "training")) $training.image.digest }}
{{- /* The network of model/trainer/src/trainer/network.py; another one gets another word here. */}}
{{- $inputs := dict "dataset" $training.dataset "image" $image "network" "dense" "params" $params }}
{{- $inputs | toJson | sha256sum | trunc 12 }}
{{- end }}

{{/*
Key of the model the pods wait for: "" where any key will do, because nothing is trained or because the version, a
number that is unique among all keys, is pinned. Takes the root context.
*/}}
{{- define "tensorflow-model.model.servedKey" -}}
{{- if and .Values.training.enabled (not (include "tensorflow-model.model.version" .)) }}
{{- include "tensorflow-model.model.key" . }}
{{- end }}
{{- end }}

{{/* The pinned version in digits, or "". Takes the root context. */}}
{{- define "tensorflow-model.model.version" -}}
{{- with .Values.model.version }}
{{- include "tensorflow-model.wholeNumber" . }}
{{- end }}
{{- end }}

{{/*
A real test image, as JSON: `request`, the body that /predict takes, and `label`, what the model should answer; "" where
it is not known what the model was trained on. Takes the root context.
*/}}
{{- define "tensorflow-model.model.example" -}}
{{- $isKnown := include "tensorflow-model.model.servedKey" . }}
{{- $dataset := ternary .Values.training.dataset.name "mnist" (ne $isKnown "") }}
{{- $example := .Files.Get (printf "files/examples/%s.json" $dataset) | fromJson }}
{{- if not $isKnown }}
  {{- $_ := set $example "label" "" }}
{{- end }}
{{- $example | toJson }}
{{- end }}

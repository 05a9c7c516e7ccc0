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
{{- include "tensorflow-model.versionNumber" . }}
{{- end }}
{{- end }}

{{/*
Where a model comes from that this release does not train, as JSON: path, uri, sha256, caConfigMap, caKey, image and
pullPolicy, each "" where it is not given. Takes the root context.
*/}}
{{- define "tensorflow-model.model.source" -}}
{{- $source := default dict .Values.model.source }}
{{- $bundle := default dict $source.caBundle }}
{{- $image := default dict $source.image }}
{{- dict
  "path" (default "" $source.path)
  "uri" (default "" $source.uri)
  "sha256" (default "" $source.sha256 | lower)
  "caConfigMap" (default "" $bundle.configMapName)
  "caKey" (default "ca.crt" $bundle.key)
  "image" (default "" $image.reference)
  "pullPolicy" (default "IfNotPresent" $image.pullPolicy)
| toJson }}
{{- end }}

{{/*
"true" where nothing says which version is served, so that the pods follow the model store, else "". Takes the root
context.
*/}}
{{- define "tensorflow-model.model.isFollowed" -}}
{{- $isFixed := or .Values.training.enabled (include "tensorflow-model.model.version" .) .Values.server.config.versions }}
{{- if and .Values.loader.follow (not $isFixed) (include "tensorflow-model.modelStore.isUsed" .) -}}
true
{{- end }}
{{- end }}

{{/*
Key of the model this release trains: a digest of what shapes it and of nothing else, 12 hexadecimal digits. It is the
model's folder in the store; equal inputs are trained once. The image counts as far as values name it, by its digest
alone where there is one: a newer chart, a mirror or a rebuilt default image is no other model. Takes the root context.
*/}}
{{- define "tensorflow-model.model.key" -}}
{{- $training := .Values.training }}
{{- $image := default (printf "%s:%s" $training.image.repository (default "" $training.image.tag)) $training.image.digest }}
{{- $code := dict }}
{{- range $name, $text := $training.code }}
  {{- $_ := set $code $name (sha256sum $text) }}
{{- end }}
{{- $inputs := dict
  "module" (ternary "" $training.module (not (empty $training.command)))
  "command" (default list $training.command)
  "code" $code
  "params" (include "tensorflow-model.training.params" . | fromJson)
  "data" (include "tensorflow-model.training.data" . | fromJson)
  "revision" (include "tensorflow-model.training.revision" .)
  "image" $image
}}
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

{{/* Versions that are served whatever else is published, with commas between, or "". Takes the root context. */}}
{{- define "tensorflow-model.model.pinned" -}}
{{- $versions := list }}
{{- range concat (list (include "tensorflow-model.model.version" .)) .Values.server.config.versions (values .Values.server.config.versionLabels) }}
  {{- if ne (toString .) "" }}
    {{- $versions = append $versions (include "tensorflow-model.versionNumber" .) }}
  {{- end }}
{{- end }}
{{- $versions | uniq | sortAlpha | join "," }}
{{- end }}

{{/*
Where a model comes from that this release does not train, as JSON: path, uri, sha256, caConfigMap, caKey, image and
pullPolicy, each "" where it is not given. Takes the root context.
*/}}
{{- define "tensorflow-model.model.source" -}}
{{- $source := .Values.model.source }}
{{- $bundle := $source.caBundle }}
{{- $image := $source.image }}
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
"true" where versions come that no value names, so that the pods follow the model store, else "": nothing is trained and
nothing is pinned, or a schedule trains. Takes the root context.
*/}}
{{- define "tensorflow-model.model.isFollowed" -}}
{{- $isPinned := or (include "tensorflow-model.model.version" .) .Values.server.config.versions }}
{{- $isGrowing := or (not .Values.training.enabled) .Values.training.schedule.cron }}
{{- if and $isGrowing (not $isPinned) .Values.loader.follow (include "tensorflow-model.modelStore.isUsed" .) -}}
true
{{- end }}
{{- end }}

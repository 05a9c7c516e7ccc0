{{/* What cannot work about where a model comes from, one sentence a line. Takes the root context. */}}
{{- define "tensorflow-model.validation.source" -}}
{{- $source := include "tensorflow-model.model.source" . | fromJson }}
{{- if .Values.training.enabled }}
{{- range $key, $value := dict "path" $source.path "uri" $source.uri "sha256" $source.sha256 "image.reference" $source.image "caBundle.configMapName" $source.caConfigMap }}
{{- if $value }}
model.source.{{ $key }} is set but training.enabled is true, and model.source is for a model this release does not train: set training.enabled=false, or leave it out
{{- end }}
{{- end }}
{{- else }}
{{- include "tensorflow-model.validation.sourcePath" . }}
{{- include "tensorflow-model.validation.sourceUri" . }}
{{- include "tensorflow-model.validation.sourceImage" . }}
{{- end }}
{{- end }}

{{/* A path that is inside nothing. Takes the root context. */}}
{{- define "tensorflow-model.validation.sourcePath" -}}
{{- $source := include "tensorflow-model.model.source" . | fromJson }}
{{- if $source.path }}
{{- if $source.uri }}
model.source.path and model.source.uri are both set but the model's folder in an archive is found without it: leave the path out
{{- else if and (include "tensorflow-model.modelStore.isS3" .) (not $source.image) }}
model.source.path is set but modelStore.type is s3, and it is a folder of a claim: put the model into an archive (model.source.uri=s3://BUCKET/KEY), or set modelStore.type=pvc
{{- else if not (or $source.image .Values.modelStore.pvc.existingClaim) }}
model.source.path is set but there is no claim it is a folder of (the chart's own has none but what is trained): set modelStore.pvc.existingClaim
{{- end }}
{{- if or (hasPrefix "/" $source.path) (has ".." (splitList "/" $source.path)) }}
model.source.path is {{ toJson $source.path }}, which leads out of the claim or image: name a folder inside it, without a / in front and without ..
{{- end }}
{{- end }}
{{- end }}

{{/* An archive that cannot be fetched or trusted. Takes the root context. */}}
{{- define "tensorflow-model.validation.sourceUri" -}}
{{- $source := include "tensorflow-model.model.source" . | fromJson }}
{{- if $source.uri }}
{{- if not (regexMatch "^(https|s3)://[^/?#\\s]+/\\S+$" $source.uri) }}
model.source.uri is {{ toJson $source.uri }}, which is not the address of a file over https or in a bucket: use https://HOST/PATH or s3://BUCKET/KEY, or put the model into a claim (modelStore.pvc.existingClaim)
{{- end }}
{{- if not $source.sha256 }}
model.source.uri is set but model.source.sha256 is empty, so nothing says which bytes are the model: set it to what sha256sum prints for the archive
{{- end }}
{{- else }}
{{- range $key, $value := dict "sha256" $source.sha256 "caBundle.configMapName" $source.caConfigMap }}
{{- if $value }}
model.source.{{ $key }} is set but model.source.uri is empty, so nothing is fetched: set the uri, or leave it out
{{- end }}
{{- end }}
{{- end }}
{{- end }}

{{/* An image that cannot be mounted. Takes the root context. */}}
{{- define "tensorflow-model.validation.sourceImage" -}}
{{- $source := include "tensorflow-model.model.source" . | fromJson }}
{{- $kubernetes := .Capabilities.KubeVersion.Version }}
{{- if $source.image }}
{{- if not (regexMatch "^(([A-Za-z0-9.-]+|\\[[0-9a-fA-F:]+\\])(:[0-9]+)?/)?[a-z0-9]+([._/-]+[a-z0-9]+)*(:[A-Za-z0-9_][A-Za-z0-9_.-]{0,127})?(@sha256:[0-9a-f]{64})?$" $source.image) }}
model.source.image.reference is {{ toJson $source.image }}, which is not the name of an image: write HOST/NAME:TAG or HOST/NAME@sha256:DIGEST, without https:// in front
{{- end }}
{{- if $source.uri }}
model.source.uri and model.source.image.reference are both set but a model comes from one place: leave one of them out
{{- end }}
{{- if semverCompare "<1.31.0-0" $kubernetes }}
model.source.image.reference is set but this is Kubernetes {{ $kubernetes }}, and image volumes are there from 1.31 on: use a newer cluster, model.source.uri, or a claim (modelStore.pvc.existingClaim)
{{- end }}
{{- end }}
{{- end }}

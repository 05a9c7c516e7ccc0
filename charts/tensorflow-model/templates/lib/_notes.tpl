{{/* For NOTES: where a model is looked for that is not trained here. Takes the root context. */}}
{{- define "tensorflow-model.notes.source" -}}
{{- $source := include "tensorflow-model.model.source" . | fromJson -}}
{{- $version := include "tensorflow-model.model.version" . -}}
{{- $folder := default .Values.model.name $source.path -}}
{{- $wanted := ternary (printf "version %s" $version) "the newest version" (ne $version "") -}}
{{- if $source.uri -}}
Nothing is trained: the model is fetched from {{ regexReplaceAll "[?#].*$" $source.uri "" }}.
{{- else if $source.image -}}
Nothing is trained: {{ $wanted }} is looked for in the image {{ $source.image }}{{ with $source.path }}, folder {{ . }}{{ end }}.
{{- if semverCompare "<1.35.0-0" .Capabilities.KubeVersion.Version }}
Kubernetes {{ .Capabilities.KubeVersion.Version }} mounts it only with the feature gate ImageVolume of API server and kubelet.
{{- end }}
{{- else -}}
Nothing is trained: {{ $wanted }} is looked for in {{ include "tensorflow-model.modelStore.place" . }}, as
{{ if include "tensorflow-model.modelStore.isS3" . -}}
{{ $folder }}/<key>/<version>/, which is how training publishes it.
{{- else -}}
{{ $folder }}/<version>/saved_model.pb{{ if not $source.path }} or, as training publishes it, {{ $folder }}/<key>/<version>/saved_model.pb{{ end }}.
{{- end }}
{{- if include "tensorflow-model.model.isFollowed" . }}
A newer version that appears there is served within seconds, by every pod.
{{- end }}
{{- end }}
{{- end }}

{{/* For NOTES: images of the release that no registry is named for, with commas between, or "". Takes the root context. */}}
{{- define "tensorflow-model.notes.homeless" -}}
{{- $names := list }}
{{- $areThere := dict "training" .Values.training.enabled "publisher" .Values.training.enabled "tensorboard" .Values.tensorboard.enabled }}
{{- range $component := list "training" "publisher" "loader" "server" "api" "tensorboard" }}
  {{- $image := (index $.Values $component).image }}
  {{- $isThere := or (not (hasKey $areThere $component)) (get $areThere $component) }}
  {{- if and $isThere (not (or $image.registry $.Values.global.imageRegistry (contains "/" $image.repository))) }}
    {{- $names = append $names $image.repository }}
  {{- end }}
{{- end }}
{{- $names | uniq | join ", " }}
{{- end }}

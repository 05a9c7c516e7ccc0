{{/* Images that no node could pull, one sentence a line. Takes the root context. */}}
{{- define "tensorflow-model.validation.images" -}}
{{- include "tensorflow-model.validation.registry" (dict "key" "global.imageRegistry" "registry" .Values.global.imageRegistry) }}
{{- range $name := list "training" "publisher" "loader" "server" "api" "tensorboard" }}
{{- $group := ternary "training" $name (eq $name "publisher") }}
{{- $isThere := or (not (has $group (list "training" "tensorboard"))) (index $.Values $group "enabled") }}
{{- $image := (index $.Values $name).image }}
{{- if $isThere }}
{{- include "tensorflow-model.validation.registry" (dict "key" (printf "%s.image.registry" $name) "registry" $image.registry) }}
{{- $registry := default $image.registry $.Values.global.imageRegistry }}
{{- $first := splitList "/" $image.repository | first }}
{{- if not (regexMatch "^[a-z0-9]+([._/-]+[a-z0-9]+)*$" $image.repository) }}
{{- $rest := splitList "/" $image.repository | rest | join "/" }}
{{ $name }}.image.repository is {{ toJson $image.repository }}{{ if contains "@" $image.repository }}, which has a digest: put what is behind the @ into {{ $name }}.image.digest
{{- else if and (contains ":" $first) $rest }}, which names a registry: put {{ $first }} into {{ $name }}.image.registry, and write {{ $rest }} here
{{- else if contains ":" $image.repository }}, which has a tag: put what is behind the : into {{ $name }}.image.tag
{{- else }} but names of images have small letters, digits, ".", "_", "-" and "/" alone: correct it
{{- end }}
{{- else if and $registry (contains "/" $image.repository) (or (contains "." $first) (eq $first "localhost")) }}
{{ $name }}.image.repository is {{ $image.repository }}, which names a registry, but the registry is {{ $registry }} already ({{ ternary "global.imageRegistry" (printf "%s.image.registry" $name) (not (empty $.Values.global.imageRegistry)) }}): leave {{ $first }}/ out of the repository
{{- else if and (has $registry (list "docker.io" "index.docker.io" "registry-1.docker.io")) (not (contains "/" $image.repository)) }}
{{ $name }}.image is {{ $registry }}/{{ $image.repository }} but names without a / are Docker's own images there: set {{ $name }}.image.registry (or global.imageRegistry) to where yours is, empty for images the nodes have already
{{- end }}
{{- end }}
{{- end }}
{{- with .Values.server.image }}
{{- /* The tag in values.yaml, which belongs to the image in values.yaml. */}}
{{- if and (hasSuffix "tensorflow-model-server" .repository) (eq .tag "2.20.0") (not .digest) }}
server.image.repository is {{ .repository }} but server.image.tag is still {{ .tag }}, a version of tensorflow/serving: set server.image.tag to the image's, empty for {{ $.Chart.AppVersion }}
{{- end }}
{{- end }}
{{- end }}

{{/* A registry that is none, one sentence. Takes dict "key" and "registry". */}}
{{- define "tensorflow-model.validation.registry" -}}
{{- if and .registry (not (regexMatch "^([A-Za-z0-9]([-A-Za-z0-9.]*[A-Za-z0-9])?|\\[[0-9a-fA-F:]+\\])(:[0-9]+)?(/[a-z0-9]+([._-]+[a-z0-9]+)*)*$" .registry)) }}
{{ .key }} is {{ toJson .registry }} but it is put before a / and an image's name: write HOST, HOST:PORT or HOST/PATH, without https:// in front and without a / at the end
{{- end }}
{{- end }}

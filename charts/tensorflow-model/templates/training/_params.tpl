{{/* What the built-in recipe that is trained declares, as JSON; {} for a module or program of the user's. Takes the root context. */}}
{{- define "tensorflow-model.training.recipe" -}}
{{- $recipes := .Files.Get "files/recipes.json" | fromJson }}
{{- $isBuiltIn := and (not .Values.training.command) (hasKey $recipes .Values.training.module) }}
{{- ternary (get $recipes .Values.training.module | default dict) dict $isBuiltIn | toJson }}
{{- end }}

{{/*
The training parameters by name in snake_case, as JSON that tells types apart. Takes the root context.
*/}}
{{- define "tensorflow-model.training.params" -}}
{{- $declared := (include "tensorflow-model.training.recipe" . | fromJson).parameters | default dict }}
{{- $params := dict }}
{{- range $name, $value := .Values.training.params }}
  {{- if not (kindIs "invalid" $value) }}
    {{- $type := (get $declared (snakecase $name) | default dict).type | default "" }}
    {{- $_ := set $params (snakecase $name) (include "tensorflow-model.training.param" (dict "value" $value "type" $type) | fromJson).value }}
  {{- end }}
{{- end }}
{{- $params | toJson }}
{{- end }}

{{/*
One value as JSON, under "value". `--set` makes text of decimals: text that is written as its number would be is that
number, other text ("007", "1e-4") a word, unless a built-in recipe declares a number. Takes dict "value" and "type".
*/}}
{{- define "tensorflow-model.training.param" -}}
{{- $type := .type | trimPrefix "array of " }}
{{- if kindIs "slice" .value }}
  {{- $elements := list }}
  {{- range .value }}
    {{- $elements = append $elements (include "tensorflow-model.training.param" (dict "value" . "type" $type) | fromJson).value }}
  {{- end }}
  {{- dict "value" $elements | toJson }}
{{- else if and (kindIs "string" .value) (ne $type "string") (regexMatch "^-?[0-9]+(\\.[0-9]+)?([eE][-+]?[0-9]{1,3})?$" (toString .value)) (or (has $type (list "integer" "number")) (eq .value (include "tensorflow-model.number" .value))) }}
  {{- dict "value" (float64 .value) | toJson }}
{{- else }}
  {{- dict "value" .value | toJson }}
{{- end }}
{{- end }}

{{/* training.revision as text; a number is the same one from a values file and from `--set`. Takes the root context. */}}
{{- define "tensorflow-model.training.revision" -}}
{{- $revision := .Values.training.revision }}
{{- if kindIs "string" $revision }}
{{- $revision }}
{{- else if not (kindIs "invalid" $revision) }}
{{- include "tensorflow-model.number" $revision }}
{{- end }}
{{- end }}

{{/* What training is told in one file, as JSON. Takes the root context. */}}
{{- define "tensorflow-model.training.config" -}}
{{- $training := .Values.training }}
{{- $data := include "tensorflow-model.training.data" . | fromJson }}
{{- $folders := dict "model" "/output/model" "result" "/output/result.json" "checkpoints" "/workspace/checkpoints" "logs" "/workspace/logs" }}
{{- if $data }}
  {{- $_ := set $folders "data" "/data" }}
{{- end }}
{{- if $training.code }}
  {{- $_ := set $folders "code" "/code" }}
{{- end }}
{{- dict
  "format" 1
  "model" (dict "name" .Values.model.name "key" (include "tensorflow-model.model.key" .))
  "parameters" (include "tensorflow-model.training.params" . | fromJson)
  "data" $data
  "folders" $folders
| toPrettyJson }}
{{- end }}

{{/*
Where training data comes from, as JSON: existingClaim, path, uri and sha256, as far as they are given. Takes the root
context.
*/}}
{{- define "tensorflow-model.training.data" -}}
{{- $data := .Values.training.data }}
{{- $given := dict }}
{{- range $name := list "existingClaim" "path" "uri" "sha256" }}
  {{- with get $data $name }}
    {{- $_ := set $given $name (ternary (lower .) . (eq $name "sha256")) }}
  {{- end }}
{{- end }}
{{- $given | toJson }}
{{- end }}

{{/* Content of the ConfigMap of training, as JSON: training.json, and the files of training.code. Takes the root context. */}}
{{- define "tensorflow-model.training.files" -}}
{{- merge (dict "training.json" (include "tensorflow-model.training.config" .)) .Values.training.code | toJson }}
{{- end }}

{{/* Name of that ConfigMap: other content is another one, so that a Job that runs keeps its own. Takes the root context. */}}
{{- define "tensorflow-model.training.filesName" -}}
{{- printf "%s-training-%s" (include "tensorflow-model.fullname" .) (include "tensorflow-model.training.files" . | sha256sum | trunc 8) }}
{{- end }}

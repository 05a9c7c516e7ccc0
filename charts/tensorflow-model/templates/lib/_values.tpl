{{/*
Put in what the absence of a key stands for (files/keys.json), so that no other template meets a key that is not there:
null takes one away, and so does --reuse-values with the values of an older chart. Renders to the keys that have to be
there and are not, one a line; those of a group that is off are not asked for. Takes dict "values", "keys", "prefix" and
"isOff".
*/}}
{{- define "tensorflow-model.values.complete" -}}
{{- include "tensorflow-model.inputs" (dict "template" "values.complete" "needs" (list "values" "keys" "prefix" "isOff") "given" .) -}}
{{- $values := .values }}
{{- $isOff := .isOff }}
{{- with get .keys "enabled" }}
  {{- $enabled := index $values "enabled" }}
  {{- $isOff = or $isOff (not (ternary (or .needed .absent) $enabled (kindIs "invalid" $enabled))) }}
{{- end }}
{{- range $name, $key := .keys }}
  {{- $isMissing := kindIs "invalid" (index $values $name) }}
  {{- if and $isMissing $key.needed (not $isOff) }}
{{ $.prefix }}{{ $name }}
  {{- end }}
  {{- if hasKey $key "keys" }}
    {{- if $isMissing }}
      {{- $_ := set $values $name dict }}
    {{- end }}
    {{- if not (and $isMissing $key.needed) }}
      {{- include "tensorflow-model.values.complete" (dict "values" (index $values $name) "keys" $key.keys "prefix" (printf "%s%s." $.prefix $name) "isOff" $isOff) }}
    {{- end }}
  {{- else if and $isMissing (kindIs "invalid" $key.absent) }}
    {{- $_ := unset $values $name }}
  {{- else if $isMissing }}
    {{- $_ := set $values $name $key.absent }}
  {{- else if ne $name "extraObjects" }}
    {{- include "tensorflow-model.values.prune" (index $values $name) }}
  {{- end }}
{{- end }}
{{- end }}

{{/*
Take out what is null in a map that is handed on, and in maps and lists below it: a second file of values takes away like that what a
first one gives, and of a limit Kubernetes would make 0. Renders to nothing. Takes any value.
*/}}
{{- define "tensorflow-model.values.prune" -}}
{{- if kindIs "slice" . }}
{{- range . }}
  {{- include "tensorflow-model.values.prune" . }}
{{- end }}
{{- else if kindIs "map" . }}
{{- $values := . }}
{{- range $name, $value := . }}
  {{- if kindIs "invalid" $value }}
    {{- $_ := unset $values $name }}
  {{- else }}
    {{- include "tensorflow-model.values.prune" $value }}
  {{- end }}
{{- end }}
{{- end }}
{{- end }}

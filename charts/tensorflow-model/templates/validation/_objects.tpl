{{/* Further objects that are none, one sentence a line. Takes the root context. */}}
{{- define "tensorflow-model.validation.objects" -}}
{{- $root := . }}
{{- range $index, $item := .Values.extraObjects }}
{{- range regexSplit "(?m)^---\\s*$" (tpl (ternary $item (toYaml $item) (kindIs "string" $item)) $root) -1 }}
{{- if regexMatch "(?m)^\\s*[^\\s#]" . }}
{{- $object := fromYaml . }}
{{- $metadata := index $object "metadata" }}
{{- $isNamed := false }}
{{- if kindIs "map" $metadata }}
{{- $isNamed = or (get $metadata "name") (get $metadata "generateName") }}
{{- end }}
{{- if and $object.Error (not $object.kind) }}
extraObjects[{{ $index }}] is not a map in YAML ({{ $object.Error | replace "\n" " " | trunc 120 }}): correct it
{{- else if not (and $object.apiVersion $object.kind) }}
extraObjects[{{ $index }}] has no {{ ternary "kind" "apiVersion" (not (empty $object.apiVersion)) }}, which every object of Kubernetes has: add it
{{- else if not (or (hasSuffix "List" (toString $object.kind)) $isNamed) }}
extraObjects[{{ $index }}] is a {{ $object.kind }} without metadata.name: give it one
{{- end }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}

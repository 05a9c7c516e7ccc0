{{/* Requests and limits that Kubernetes refuses, one sentence a line. Takes the root context. */}}
{{- define "tensorflow-model.validation.resources" -}}
{{- range $component := list "training" "publisher" "loader" "server" "api" "tensorboard" "test" }}
{{- $resources := (index $.Values $component).resources }}
{{- $given := dict }}
{{- range $group := list "requests" "limits" }}
{{- range $name, $amount := get $resources $group | default dict }}
{{- $key := printf "%s.resources.%s.%s" $component $group $name }}
{{- $quantity := include "tensorflow-model.quantity" $amount }}
{{- if kindIs "invalid" $amount }}
{{- else if not $quantity }}
{{ $key }} is {{ toJson $amount }}, which is no quantity: write for example 500m (CPU) or 512Mi (bytes)
{{- else if and (has $name (list "memory" "ephemeral-storage")) (hasSuffix "m" (toString $amount)) }}
{{ $key }} is {{ $amount }}, thousandths of a byte: write {{ trimSuffix "m" (toString $amount) }}M or {{ trimSuffix "m" (toString $amount) }}Mi
{{- else }}
{{- $_ := set $given (printf "%s/%s" $group $name) (float64 $quantity) }}
{{- end }}
{{- end }}
{{- end }}
{{- range $name, $limit := get $resources "limits" | default dict }}
{{- $request := get $given (printf "requests/%s" $name) }}
{{- $most := get $given (printf "limits/%s" $name) }}
{{- if and (hasKey $given (printf "requests/%s" $name)) (hasKey $given (printf "limits/%s" $name)) (gt $request $most) }}
{{ $component }}.resources.requests.{{ $name }} is {{ get $resources.requests $name }} but the limit is {{ $limit }}: raise {{ $component }}.resources.limits.{{ $name }}, or lower the request
{{- end }}
{{- end }}
{{- end }}
{{- end }}

{{/* A Kubernetes quantity as a plain number, or "" for what is none. Takes the quantity. */}}
{{- define "tensorflow-model.quantity" -}}
{{- $text := toString . }}
{{- $factors := dict "n" 1e-9 "u" 1e-6 "m" 1e-3 "" 1.0 "k" 1e3 "M" 1e6 "G" 1e9 "T" 1e12 "P" 1e15 "E" 1e18 "Ki" 1024.0 "Mi" 1048576.0 "Gi" 1073741824.0 "Ti" 1099511627776.0 "Pi" 1125899906842624.0 "Ei" 1152921504606846976.0 }}
{{- if regexMatch "^[0-9]+(\\.[0-9]*)?([eE][-+]?[0-9]+|[numkMGTPE]|[KMGTPE]i)?$" $text }}
{{- $number := regexFind "^[0-9]+(\\.[0-9]*)?([eE][-+]?[0-9]+)?" $text }}
{{- mulf (float64 $number) (get $factors (trimPrefix $number $text)) }}
{{- end }}
{{- end }}

{{/* Requests and limits that Kubernetes refuses, one sentence a line. Takes the root context. */}}
{{- define "tensorflow-model.validation.resources" -}}
{{- $root := . }}
{{- range $component := list "training" "publisher" "loader" "server" "api" "tensorboard" "test" }}
{{- $values := index $root.Values $component }}
{{- include "tensorflow-model.validation.amounts" (dict "key" (printf "%s.resources" $component) "resources" $values.resources) }}
{{- $claims := list }}
{{- range $values.resourceClaims }}
{{- $claims = append $claims .name }}
{{- end }}
{{- range $values.resources.claims }}
{{- if not (has .name $claims) }}
{{ $component }}.resources.claims has {{ .name }}, which is no claim of {{ $component }}.resourceClaims: add it there, or correct the name
{{- end }}
{{- end }}
{{- range $key := list "extraInitContainers" "extraContainers" }}
{{- range $index, $container := index $values $key }}
{{- include "tensorflow-model.validation.amounts" (dict "key" (printf "%s.%s[%d].resources" $component $key $index) "resources" $container.resources) }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}

{{/* Requests and limits of one container that Kubernetes refuses. Takes dict "key" and "resources". */}}
{{- define "tensorflow-model.validation.amounts" -}}
{{- $prefix := .key }}
{{- $resources := default dict .resources }}
{{- $given := dict }}
{{- range $group := list "requests" "limits" }}
{{- range $name, $amount := get $resources $group | default dict }}
{{- $key := printf "%s.%s.%s" $prefix $group $name }}
{{- $quantity := include "tensorflow-model.quantity" $amount }}
{{- $isOwn := has $name (list "cpu" "memory" "ephemeral-storage") }}
{{- if kindIs "invalid" $amount }}
{{- else if not (or $isOwn (regexMatch "^hugepages-[0-9]+[KMG]i$" $name) (regexMatch "^[a-z0-9.-]+/[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$" $name)) }}
{{ $prefix }}.{{ $group }} has {{ toJson $name }}, which Kubernetes does not know: write cpu, memory, ephemeral-storage, or the whole name of a device, for example nvidia.com/gpu
{{- else if not $quantity }}
{{ $key }} is {{ toJson $amount }}, which is no quantity: write for example 500m (CPU) or 512Mi (bytes)
{{- else if and (has $name (list "memory" "ephemeral-storage")) (hasSuffix "m" (toString $amount)) }}
{{ $key }} is {{ $amount }}, thousandths of a byte: write {{ trimSuffix "m" (toString $amount) }}M or {{ trimSuffix "m" (toString $amount) }}Mi
{{- else if and (contains "/" $name) (ne (float64 $quantity) (floor (float64 $quantity))) }}
{{ $key }} is {{ $amount }} but Kubernetes gives out whole devices alone: write a whole number
{{- else }}
{{- $_ := set $given (printf "%s/%s" $group $name) (float64 $quantity) }}
{{- end }}
{{- end }}
{{- end }}
{{- range $path, $request := $given }}
{{- if hasPrefix "requests/" $path }}
{{- $name := trimPrefix "requests/" $path }}
{{- $asked := get $resources.requests $name }}
{{- $limit := get (default dict $resources.limits) $name }}
{{- $isWhole := or (contains "/" $name) (hasPrefix "hugepages-" $name) }}
{{- if and $isWhole (not (hasKey $given (printf "limits/%s" $name))) }}
{{ $prefix }}.requests.{{ $name }} is set but a device is what limits name: set {{ $prefix }}.limits.{{ $name }} instead
{{- else if not (hasKey $given (printf "limits/%s" $name)) }}
{{- else if and $isWhole (ne $request (get $given (printf "limits/%s" $name))) }}
{{ $prefix }}.requests.{{ $name }} is {{ $asked }} but the limit is {{ $limit }}, and of devices the two are the same: leave the request out
{{- else if gt $request (get $given (printf "limits/%s" $name)) }}
{{ $prefix }}.requests.{{ $name }} is {{ $asked }} but the limit is {{ $limit }}: raise {{ $prefix }}.limits.{{ $name }}, or lower the request
{{- end }}
{{- end }}
{{- end }}
{{- end }}

{{/* A Kubernetes quantity as a plain number, or "" for what is none. Takes the quantity. */}}
{{- define "tensorflow-model.quantity" -}}
{{- $text := toString . }}
{{- $factors := dict "n" 1e-9 "u" 1e-6 "m" 1e-3 "" 1.0 "k" 1e3 "M" 1e6 "G" 1e9 "T" 1e12 "P" 1e15 "E" 1e18 "Ki" 1024.0 "Mi" 1048576.0 "Gi" 1073741824.0 "Ti" 1099511627776.0 "Pi" 1125899906842624.0 "Ei" 1152921504606846976.0 }}
{{- if regexMatch "^\\+?([0-9]+(\\.[0-9]*)?|\\.[0-9]+)([eE][-+]?[0-9]+|[numkMGTPE]|[KMGTPE]i)?$" $text }}
{{- $number := regexFind "^\\+?([0-9]+(\\.[0-9]*)?|\\.[0-9]+)([eE][-+]?[0-9]+)?" $text }}
{{- mulf (float64 $number) (get $factors (trimPrefix $number $text)) }}
{{- end }}
{{- end }}

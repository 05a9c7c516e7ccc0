{{/* What cannot work about a component's autoscaling, one sentence a line. Takes dict "root" and "component". */}}
{{- define "tensorflow-model.validation.autoscaling" -}}
{{- $name := .component }}
{{- $values := index .root.Values $name }}
{{- $autoscaling := $values.autoscaling }}
{{- if $autoscaling.enabled }}
{{- $fewest := include "tensorflow-model.minReplicas" $values | int }}
{{- $key := ternary "replicaCount" "autoscaling.minReplicas" (kindIs "invalid" $autoscaling.minReplicas) }}
{{- if gt $fewest (int $autoscaling.maxReplicas) }}
{{ $name }}.{{ $key }} is {{ $fewest }} but {{ $name }}.autoscaling.maxReplicas is {{ int $autoscaling.maxReplicas }}: raise maxReplicas, lower {{ $key }}, or set {{ $name }}.autoscaling.enabled=false
{{- end }}
{{- if lt $fewest 1 }}
{{ $name }}.{{ $key }} is 0 but an autoscaler keeps at least one pod: set {{ $name }}.autoscaling.enabled=false to run none
{{- end }}
{{- if and $autoscaling.targetCPUUtilizationPercentage (not (dig "requests" "cpu" "" $values.resources)) }}
{{ $name }}.autoscaling.targetCPUUtilizationPercentage is a share of the CPU request but {{ $name }}.resources.requests.cpu is not set: set it, or set {{ $name }}.autoscaling.enabled=false
{{- end }}
{{- if not (or $autoscaling.targetCPUUtilizationPercentage $autoscaling.metrics) }}
{{ $name }}.autoscaling.enabled is true but there is nothing to scale by: set {{ $name }}.autoscaling.targetCPUUtilizationPercentage or {{ $name }}.autoscaling.metrics
{{- end }}
{{- end }}
{{- end }}

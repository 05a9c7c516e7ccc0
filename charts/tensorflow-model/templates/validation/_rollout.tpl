{{/* How a component's pods cannot be replaced or taken away, one sentence a line. Takes dict "root" and "component". */}}
{{- define "tensorflow-model.validation.rollout" -}}
{{- $name := .component }}
{{- $values := index .root.Values $name }}
{{- $rolling := $values.strategy.rollingUpdate }}
{{- if and (ne $values.strategy.type "Recreate") (include "tensorflow-model.validation.isNone" $rolling.maxSurge) (include "tensorflow-model.validation.isNone" $rolling.maxUnavailable) }}
{{ $name }}.strategy.rollingUpdate allows no pod more (maxSurge) and none less (maxUnavailable), so that no pod could ever be replaced: set one of them to 1
{{- end }}
{{- with $values.podDisruptionBudget }}
{{- if .enabled }}
{{- $hasMost := not (kindIs "invalid" .maxUnavailable) }}
{{- $hasLeast := not (kindIs "invalid" .minAvailable) }}
{{- if and $hasMost $hasLeast }}
{{ $name }}.podDisruptionBudget has maxUnavailable and minAvailable but Kubernetes takes one of them: set the other to null
{{- else if not (or $hasMost $hasLeast) }}
{{ $name }}.podDisruptionBudget.enabled is true but it holds nothing: set {{ $name }}.podDisruptionBudget.maxUnavailable or minAvailable, or enabled=false
{{- else if and $hasLeast (eq (toString .minAvailable) "100%") }}
{{ $name }}.podDisruptionBudget.minAvailable is 100%, which no drain of a node could ever keep to: set it lower, or maxUnavailable=1 and minAvailable=null
{{- else if and $hasLeast (not (hasSuffix "%" (toString .minAvailable))) (ge (int .minAvailable) (include "tensorflow-model.maxReplicas" $values | int)) (gt (include "tensorflow-model.maxReplicas" $values | int) 1) }}
{{ $name }}.podDisruptionBudget.minAvailable is {{ int .minAvailable }} of at most {{ include "tensorflow-model.maxReplicas" $values }} pods, which no drain of a node could ever keep to: set it lower, or maxUnavailable=1 and minAvailable=null
{{- else if include "tensorflow-model.validation.isNone" .maxUnavailable }}
{{ $name }}.podDisruptionBudget.maxUnavailable is {{ .maxUnavailable }}, which no drain of a node could ever keep to: set it to 1 or more, or enabled=false
{{- end }}
{{- end }}
{{- end }}
{{- end }}

{{/* "true" for no pods, as a number or in percent, else "". Takes the number; null is Kubernetes' own, which is some. */}}
{{- define "tensorflow-model.validation.isNone" -}}
{{- if and (not (kindIs "invalid" .)) (has (toString .) (list "0" "0%")) -}}
true
{{- end }}
{{- end }}

{{/* Fields of a component's Service that its type does not have, one sentence a line. Takes dict "root" and "component". */}}
{{- define "tensorflow-model.validation.service" -}}
{{- $name := .component }}
{{- $service := (index .root.Values $name).service }}
{{- $type := default "ClusterIP" $service.type }}
{{- if eq $type "ClusterIP" }}
{{- range $port, $number := $service.nodePorts }}
{{- if $number }}
{{ $name }}.service.nodePorts.{{ $port }} is set but {{ $name }}.service.type is ClusterIP, which has no node ports: set type to NodePort or LoadBalancer
{{- end }}
{{- end }}
{{- if $service.externalTrafficPolicy }}
{{ $name }}.service.externalTrafficPolicy is set but {{ $name }}.service.type is ClusterIP, which nobody outside reaches: set type to NodePort or LoadBalancer, or leave it out
{{- end }}
{{- end }}
{{- if ne $type "LoadBalancer" }}
{{- range $key := list "loadBalancerClass" "loadBalancerSourceRanges" }}
{{- if index $service $key }}
{{ $name }}.service.{{ $key }} is set but {{ $name }}.service.type is {{ $type }}: set type to LoadBalancer, or leave it out
{{- end }}
{{- end }}
{{- end }}
{{- if and (eq $service.ipFamilyPolicy "SingleStack") (gt (len $service.ipFamilies) 1) }}
{{ $name }}.service.ipFamilies has two families but ipFamilyPolicy is SingleStack: leave one of them out, or set PreferDualStack or RequireDualStack
{{- end }}
{{- if and (not $service.ipFamilyPolicy) (gt (len $service.ipFamilies) 1) }}
{{ $name }}.service.ipFamilies has two families but ipFamilyPolicy is empty, which is SingleStack: leave one of them out, or set PreferDualStack or RequireDualStack
{{- end }}
{{- range $group := list "ports" "nodePorts" }}
{{- $seen := dict }}
{{- range $port, $number := index $service $group }}
{{- $other := get $seen (toString $number) }}
{{- if and $number $other }}
{{ $name }}.service.{{ $group }}.{{ $port }} is {{ int $number }}, which {{ $other }} is already: give each port a number of its own
{{- end }}
{{- $_ := set $seen (toString $number) $port }}
{{- end }}
{{- end }}
{{- end }}

{{/* Ports of the nodes that two Services of the release ask for, one sentence a line. Takes the root context. */}}
{{- define "tensorflow-model.validation.nodePorts" -}}
{{- $root := . }}
{{- $seen := dict }}
{{- range $name := list "server" "api" "tensorboard" }}
{{- $values := index $root.Values $name }}
{{- if and (ne (default "ClusterIP" $values.service.type) "ClusterIP") (or (ne $name "tensorboard") $values.enabled) }}
{{- range $port, $number := $values.service.nodePorts }}
{{- $key := printf "%s.service.nodePorts.%s" $name $port }}
{{- $other := index $seen (toString $number) }}
{{- if and $number $other (ne (splitList "." (default "" $other) | first) $name) }}
{{ $key }} is {{ int $number }}, which {{ $other }} is already: give each Service a port of its own, or null to have one chosen
{{- end }}
{{- $_ := set $seen (toString $number) $key }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}

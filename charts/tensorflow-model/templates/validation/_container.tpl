{{/*
What cannot work about a component's container, one sentence a line. Takes dict "root", "component", "env" (what the
chart sets, YAML) and "args" (likewise).
*/}}
{{- define "tensorflow-model.validation.container" -}}
{{- $name := .component }}
{{- $values := index .root.Values $name }}
{{- $own := list }}
{{- $flags := list }}
{{- range .env | fromYamlArray }}
  {{- $own = append $own .name }}
  {{- $flags = append $flags (printf "--%s" (.name | lower | replace "_" "-")) }}
{{- end }}
{{- range .args | fromYamlArray }}
  {{- $flags = append $flags (splitList "=" . | first) }}
{{- end }}
{{- range $values.extraEnv }}
{{- if has .name $own }}
{{ $name }}.extraEnv sets {{ .name }}, which the chart sets already: use the key it comes from (README.md lists them)
{{- end }}
{{- end }}
{{- range $values.extraArgs }}
{{- if has (splitList "=" . | first) $flags }}
{{ $name }}.extraArgs sets {{ splitList "=" . | first }}, which the chart sets already: use the key it comes from (README.md lists them)
{{- end }}
{{- end }}
{{- end }}

{{/*
What cannot work about how a component's pods stop, one sentence a line. Takes dict "root" and
"component".
*/}}
{{- define "tensorflow-model.validation.serving" -}}
{{- $name := .component }}
{{- $values := index .root.Values $name }}
{{- $seconds := addf (include "tensorflow-model.number" (dig "requestTimeoutSeconds" 0 $values) | float64) (include "tensorflow-model.number" (dig "drainSeconds" 0 $values) | float64) }}
{{- $needed := add1f $seconds | int }}
{{- $needed = add $values.preStopSleepSeconds $needed | int }}
{{- if lt (int $values.terminationGracePeriodSeconds) $needed }}
{{ $name }}.terminationGracePeriodSeconds is {{ int $values.terminationGracePeriodSeconds }} but preStopSleepSeconds{{ ternary ", drainSeconds" "" (hasKey $values "drainSeconds") }} and the slowest request take {{ $needed }}: raise it to {{ $needed }} or more
{{- end }}
{{- end }}

{{/* Users and rights that keep a component's containers from starting, one sentence a line. Takes dict "root" and "component". */}}
{{- define "tensorflow-model.validation.securityContexts" -}}
{{- $values := index .root.Values .component }}
{{- $pod := default dict $values.podSecurityContext }}
{{- $contexts := dict (printf "%s.securityContext" .component) $values.securityContext }}
{{- range $key := list "extraInitContainers" "extraContainers" }}
{{- range $index, $container := index $values $key }}
{{- $_ := set $contexts (printf "%s.%s[%d].securityContext" $.component $key $index) $container.securityContext }}
{{- end }}
{{- end }}
{{- range $key, $context := $contexts }}
{{- $context = default dict $context }}
{{- $user := ternary (get $context "runAsUser") (get $pod "runAsUser") (hasKey $context "runAsUser") | toString }}
{{- $isNonRoot := ternary (get $context "runAsNonRoot") (get $pod "runAsNonRoot") (hasKey $context "runAsNonRoot") }}
{{- if and (eq $user "0") (eq (toString $isNonRoot) "true") }}
{{ ternary $key (printf "%s.podSecurityContext" $.component) (hasKey $context "runAsUser") }}.runAsUser is 0, which is root, but runAsNonRoot is true, so that no container could start: set another user, null to leave it to the image or platform, or runAsNonRoot=false
{{- end }}
{{- if and (eq (get $context "privileged" | toString) "true") (eq (get $context "allowPrivilegeEscalation" | toString) "false") }}
{{ $key }}.privileged is true but allowPrivilegeEscalation is false, which Kubernetes refuses: set allowPrivilegeEscalation to true, or leave privileged out
{{- end }}
{{- end }}
{{- end }}

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

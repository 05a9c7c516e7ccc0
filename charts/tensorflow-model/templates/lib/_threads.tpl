{{/*
Environment that has TensorFlow compute on as many threads as a container may use CPUs: it counts the node's itself, and
those beyond the limit would only be held back in turns. Nothing without a limit. Takes a component's values; what its
extraEnv sets stays as it says.
*/}}
{{- define "tensorflow-model.threadsEnv" -}}
{{- $own := list }}
{{- range .extraEnv }}{{ $own = append $own .name }}{{ end }}
{{- if dig "limits" "cpu" "" (.resources | default dict) }}
{{- range $name := list "TF_NUM_INTRAOP_THREADS" "TF_NUM_INTEROP_THREADS" }}
{{- if not (has $name $own) }}
- name: {{ $name }}
  valueFrom:
    resourceFieldRef:
      resource: limits.cpu
      divisor: "1"
{{- end }}
{{- end }}
{{- end }}
{{- end }}

{{/* What cannot work about who talks to whom, one sentence a line. Takes the root context. */}}
{{- define "tensorflow-model.validation.network" -}}
{{- $policies := default dict .Values.networkPolicy }}
{{- $open := dict "api" 8080 "tensorboard" 6006 }}
{{- range $name := list "training" "server" "api" "tensorboard" }}
  {{- $given := default dict (get $policies $name) }}
  {{- $types := default list $given.policyTypes }}
  {{- range $type := list "Ingress" "Egress" }}
    {{- $key := lower $type }}
    {{- $rules := default list (get $given $key) }}
    {{- $isDefault := and (eq $type "Ingress") (eq (toJson $rules) (printf `[{"ports":[{"port":%v}]}]` (get $open $name))) }}
    {{- if and $rules (not $isDefault) (not (has $type $types)) }}
networkPolicy.{{ $name }}.{{ $key }} has rules but networkPolicy.{{ $name }}.policyTypes does not name {{ $type }}, so that everything is allowed: set networkPolicy.{{ $name }}.policyTypes={{ printf "{%s}" (append $types $type | join ",") }}
    {{- end }}
  {{- end }}
{{- end }}
{{- $server := include "tensorflow-model.networkPolicy.values" (dict "root" . "component" "server") | fromJson }}
{{- if and (ne (default "ClusterIP" .Values.server.service.type) "ClusterIP") (has "Ingress" $server.policyTypes) (not $server.ingress) }}
server.service.type is {{ .Values.server.service.type }} but the server's NetworkPolicy lets only the release's own pods reach it: name who may call in networkPolicy.server.ingress, for example [{ports: [{port: 8500}]}] for everybody, or set networkPolicy.server.policyTypes=[]
{{- end }}
{{- end }}

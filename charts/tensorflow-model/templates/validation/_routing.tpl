{{/* What cannot work about the ways in from outside, one sentence a line. Takes the root context. */}}
{{- define "tensorflow-model.validation.routing" -}}
{{- if and .Values.ingress.enabled (not .Values.ingress.hosts) }}
ingress.enabled is true but ingress.hosts is empty: name a host, or "" for every host
{{- end }}
{{- if .Values.ingress.enabled }}
{{- $hosts := dict }}
{{- range .Values.ingress.hosts }}
{{- $host := (ternary (dict "host" .) . (kindIs "string" .)).host | default "" }}
{{- if hasKey $hosts $host }}
ingress.hosts has {{ default "every host" $host }} twice, and which one's paths count is open: put its paths together
{{- end }}
{{- $_ := set $hosts $host true }}
{{- end }}
{{- range $entry := .Values.ingress.tls }}
{{- range $entry.hosts }}
{{- $isShown := or (hasKey $hosts .) (hasKey $hosts "") }}
{{- $wanted := . }}
{{- range $host, $_ := $hosts }}
{{- /* A wildcard stands for one label. */}}
{{- $above := printf "*.%s" (splitList "." $host | rest | join ".") }}
{{- $isShown = or $isShown (eq $wanted $above) (eq $host (printf "*.%s" (splitList "." $wanted | rest | join "."))) }}
{{- end }}
{{- if not $isShown }}
ingress.tls has {{ . }}, which is no host of ingress.hosts, so that its certificate is never shown: add it there, or correct the name
{{- end }}
{{- end }}
{{- end }}
{{- end }}
{{- if and .Values.httpRoute.enabled (not .Values.httpRoute.parentRefs) }}
httpRoute.enabled is true but httpRoute.parentRefs is empty: name the Gateway
{{- end }}
{{- end }}

{{/* Nodes the server's image does not exist for, one sentence. Takes the root context. */}}
{{- define "tensorflow-model.validation.architecture" -}}
{{- $server := .Values.server }}
{{- if hasSuffix "tensorflow/serving" $server.image.repository }}
{{- $wayOut := "but server.image is tensorflow/serving, which exists for amd64 only: set server.image.repository=tensorflow-model-server, registry and tag empty" }}
{{- $architecture := get $server.nodeSelector "kubernetes.io/arch" | default "amd64" }}
{{- if ne $architecture "amd64" }}
server.nodeSelector asks for {{ $architecture }} nodes {{ $wayOut }}
{{- end }}
{{- $terms := dig "nodeAffinity" "requiredDuringSchedulingIgnoredDuringExecution" "nodeSelectorTerms" list $server.affinity }}
{{- $isPossible := empty $terms }}
{{- range $terms }}
  {{- /* Any of the terms will do; of one, every expression must hold. */}}
  {{- $canBe := true }}
  {{- range .matchExpressions }}
    {{- if eq .key "kubernetes.io/arch" }}
      {{- $canBe = and $canBe (include "tensorflow-model.validation.holds" (dict "expression" . "labels" (dict "kubernetes.io/arch" "amd64"))) }}
    {{- end }}
  {{- end }}
  {{- $isPossible = or $isPossible $canBe }}
{{- end }}
{{- if not $isPossible }}
server.affinity.nodeAffinity keeps the pods from amd64 nodes {{ $wayOut }}
{{- end }}
{{- end }}
{{- end }}

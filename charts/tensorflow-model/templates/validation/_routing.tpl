{{/* What cannot work about the ways in from outside, one sentence a line. Takes the root context. */}}
{{- define "tensorflow-model.validation.routing" -}}
{{- if and .Values.ingress.enabled (not .Values.ingress.hosts) }}
ingress.enabled is true but ingress.hosts is empty: name a host
{{- end }}
{{- if and .Values.httpRoute.enabled (not .Values.httpRoute.parentRefs) }}
httpRoute.enabled is true but httpRoute.parentRefs is empty: name the Gateway
{{- end }}
{{- end }}

{{/* Nodes the server's image does not exist for, one sentence. Takes the root context. */}}
{{- define "tensorflow-model.validation.architecture" -}}
{{- $architecture := get .Values.server.nodeSelector "kubernetes.io/arch" | default "amd64" }}
{{- if and (ne $architecture "amd64") (hasSuffix "tensorflow/serving" .Values.server.image.repository) }}
server.nodeSelector asks for {{ $architecture }} nodes but server.image is tensorflow/serving, which exists for amd64 only: set server.image.repository=tensorflow-model-server, registry and tag empty
{{- end }}
{{- end }}

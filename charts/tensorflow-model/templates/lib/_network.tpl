{{/*
A component's NetworkPolicy, or nothing: the directions that networkPolicy.<component>.policyTypes names are bounded to what
the chart itself needs and what the values add. Takes dict "root", "component", "ingress" and "egress" (lists of rules the
chart needs, as YAML).
*/}}
{{- define "tensorflow-model.networkPolicy" -}}
{{- include "tensorflow-model.inputs" (dict "template" "networkPolicy" "needs" (list "root" "component" "ingress" "egress") "given" .) -}}
{{- $component := pick . "root" "component" }}
{{- $policy := include "tensorflow-model.networkPolicy.values" $component | fromJson }}
{{- if $policy.policyTypes }}
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  {{- include "tensorflow-model.metadata" $component | nindent 2 }}
spec:
  podSelector:
    matchLabels:
      {{- include "tensorflow-model.selectorLabels" $component | nindent 6 }}
  policyTypes:
    {{- toYaml $policy.policyTypes | nindent 4 }}
  {{- if has "Ingress" $policy.policyTypes }}
  {{- with concat (.ingress | fromYamlArray) $policy.ingress }}
  ingress:
    {{- include "tensorflow-model.networkPolicy.rules" . | nindent 4 }}
  {{- end }}
  {{- end }}
  {{- if has "Egress" $policy.policyTypes }}
  {{- with concat (.egress | fromYamlArray) $policy.egress }}
  egress:
    {{- include "tensorflow-model.networkPolicy.rules" . | nindent 4 }}
  {{- end }}
  {{- end }}
{{- end }}
{{- end }}

{{/*
Rules with the protocol that Kubernetes would put into them. Each list of rules is one field, which then differs from what was
applied, so that a second manager (Flux after kubectl) would meet a conflict. Takes the rules.
*/}}
{{- define "tensorflow-model.networkPolicy.rules" -}}
{{- $rules := list }}
{{- range . }}
  {{- $rule := omit . "ports" }}
  {{- with .ports }}
    {{- $ports := list }}
    {{- range . }}
      {{- $ports = append $ports (merge (dict) . (dict "protocol" "TCP")) }}
    {{- end }}
    {{- $rule = merge $rule (dict "ports" $ports) }}
  {{- end }}
  {{- $rules = append $rules $rule }}
{{- end }}
{{- toYaml $rules }}
{{- end }}

{{/*
networkPolicy.<component>, as JSON, with nothing for what is null or not there; nothing is bounded where policies are off.
Takes dict "root" and "component".
*/}}
{{- define "tensorflow-model.networkPolicy.values" -}}
{{- $policies := default dict .root.Values.networkPolicy }}
{{- $given := default dict (get $policies .component) }}
{{- $types := ternary (default list $given.policyTypes) list (default false $policies.enabled) }}
{{- dict "policyTypes" $types "ingress" (default list $given.ingress) "egress" (default list $given.egress) | toJson }}
{{- end }}

{{/* A rule from or to the release's own pods. Takes dict "root", "component" (whose pods), "direction" (from or to) and "port". */}}
{{- define "tensorflow-model.networkPolicy.own" -}}
- {{ .direction }}:
    - podSelector:
        matchLabels:
          {{- include "tensorflow-model.selectorLabels" (pick . "root" "component") | nindent 10 }}
  ports:
    - port: {{ .port }}
{{- end }}

{{/* A rule to names, wherever they are looked up. Takes nothing. */}}
{{- define "tensorflow-model.networkPolicy.dns" -}}
- ports:
    - port: 53
      protocol: UDP
    - port: 53
      protocol: TCP
{{- end }}

{{/* A rule to a URI's port, at an address that a policy cannot name. Takes the URI. */}}
{{- define "tensorflow-model.networkPolicy.uri" -}}
{{- $parsed := urlParse . }}
- ports:
    - port: {{ regexFind ":[0-9]+$" $parsed.host | trimPrefix ":" | default (ternary "80" "443" (eq $parsed.scheme "http")) }}
{{- end }}

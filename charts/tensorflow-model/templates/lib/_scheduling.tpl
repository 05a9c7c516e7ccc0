{{/* Where a component's pods run, or nothing. Takes dict "root" and "component". */}}
{{- define "tensorflow-model.scheduling" -}}
{{- include "tensorflow-model.inputs" (dict "template" "scheduling" "needs" (list "root" "component") "given" .) -}}
{{- $values := index .root.Values .component }}
{{- $fields := dict }}
{{- range $name := list "nodeSelector" "tolerations" "priorityClassName" "runtimeClassName" }}
  {{- with index $values $name }}
    {{- $_ := set $fields $name . }}
  {{- end }}
{{- end }}
{{- with include "tensorflow-model.affinity" . | fromYaml }}
  {{- $_ := set $fields "affinity" . }}
{{- end }}
{{- with include "tensorflow-model.topologySpreadConstraints" . | fromYamlArray }}
  {{- $_ := set $fields "topologySpreadConstraints" . }}
{{- end }}
{{- with $fields }}
{{- toYaml . }}
{{- end }}
{{- end }}

{{/*
Affinity of a component's pods. A volume that is not ReadWriteMany is attached to one node: a training pod on one and a
waiting server pod on another would lock each other out. So the pods that mount it attract each other.
Takes dict "root" and "component".
*/}}
{{- define "tensorflow-model.affinity" -}}
{{- $affinity := deepCopy (index .root.Values .component).affinity }}
{{- if and (include "tensorflow-model.modelStore.isMounted" .) (include "tensorflow-model.modelStore.isOnOneNode" .root) }}
  {{- $pods := dict "matchLabels" (dict "tensorflow-model/model-store" (include "tensorflow-model.modelStore.label" .root)) }}
  {{- $together := dict "labelSelector" $pods "topologyKey" "kubernetes.io/hostname" }}
  {{- $podAffinity := default (dict) $affinity.podAffinity }}
  {{- $required := append (default (list) $podAffinity.requiredDuringSchedulingIgnoredDuringExecution) $together }}
  {{- $_ := set $podAffinity "requiredDuringSchedulingIgnoredDuringExecution" $required }}
  {{- $_ := set $affinity "podAffinity" $podAffinity }}
{{- end }}
{{- toYaml $affinity }}
{{- end }}

{{/*
Spread constraints of a component's pods; one without a labelSelector, which would count no pod, gets the component's.
Takes dict "root" and "component".
*/}}
{{- define "tensorflow-model.topologySpreadConstraints" -}}
{{- $own := dict "matchLabels" (include "tensorflow-model.selectorLabels" . | fromYaml) }}
{{- $constraints := list }}
{{- range (index .root.Values .component).topologySpreadConstraints }}
  {{- $constraints = append $constraints (set (deepCopy .) "labelSelector" (default $own .labelSelector)) }}
{{- end }}
{{- toYaml $constraints }}
{{- end }}

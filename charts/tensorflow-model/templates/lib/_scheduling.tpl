{{/* Where a component's pods run and what they find there, or nothing. Takes dict "root" and "component". */}}
{{- define "tensorflow-model.scheduling" -}}
{{- include "tensorflow-model.inputs" (dict "template" "scheduling" "needs" (list "root" "component") "given" .) -}}
{{- $values := index .root.Values .component }}
{{- $fields := dict }}
{{- range $name := list "nodeSelector" "tolerations" "priorityClassName" "runtimeClassName" "schedulerName" "resourceClaims" "hostAliases" "dnsPolicy" "dnsConfig" }}
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
Labels that tell which of the release's volumes a pod keeps company with, as JSON. A volume that is not ReadWriteMany is
attached to one node, so the pods that mount it attract each other by its label. Where both the model store and the
workspace are, all their pods are one company, by one label: the training pod mounts both, and two companies that met on
two nodes would lock it out. Takes dict "root" and "component".
*/}}
{{- define "tensorflow-model.nodeLabels" -}}
{{- $labels := dict }}
{{- $isJoined := and (include "tensorflow-model.modelStore.isOnOneNode" .root) (include "tensorflow-model.workspace.isOnOneNode" .root) }}
{{- $hasStore := include "tensorflow-model.modelStore.isMounted" . }}
{{- $hasWorkspace := include "tensorflow-model.workspace.isMounted" . }}
{{- if or $hasStore (and $isJoined $hasWorkspace) }}
  {{- $_ := set $labels "tensorflow-model/model-store" (include "tensorflow-model.modelStore.label" .root) }}
{{- end }}
{{- if and $hasWorkspace (not $isJoined) }}
  {{- $_ := set $labels "tensorflow-model/workspace" (include "tensorflow-model.workspace.label" .root) }}
{{- end }}
{{- $labels | toJson }}
{{- end }}

{{/*
Affinity of a component's pods: its own rules, and company with the pods that mount the same volume where that is
attached to one node. Takes dict "root" and "component".
*/}}
{{- define "tensorflow-model.affinity" -}}
{{- $affinity := (index .root.Values .component).affinity | deepCopy }}
{{- $isOnOneNode := dict
  "tensorflow-model/model-store" (include "tensorflow-model.modelStore.isOnOneNode" .root)
  "tensorflow-model/workspace" (include "tensorflow-model.workspace.isOnOneNode" .root)
}}
{{- range $name, $claim := include "tensorflow-model.nodeLabels" . | fromJson }}
  {{- if get $isOnOneNode $name }}
    {{- $together := dict "labelSelector" (dict "matchLabels" (dict $name $claim)) "topologyKey" "kubernetes.io/hostname" }}
    {{- $podAffinity := default (dict) $affinity.podAffinity }}
    {{- $required := append (default (list) $podAffinity.requiredDuringSchedulingIgnoredDuringExecution) $together }}
    {{- $_ := set $podAffinity "requiredDuringSchedulingIgnoredDuringExecution" $required }}
    {{- $_ := set $affinity "podAffinity" $podAffinity }}
  {{- end }}
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

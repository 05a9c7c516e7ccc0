{{/* What cannot work about the model store's access modes, one sentence a line. Takes the root context. */}}
{{- define "tensorflow-model.validation.modelStore" -}}
{{- if include "tensorflow-model.modelStore.isVolume" . }}
{{- $modes := .Values.modelStore.pvc.accessModes }}
{{- if has "ReadWriteOncePod" $modes }}
modelStore.pvc.accessModes has ReadWriteOncePod but training and each of the server's pods mount the volume: use ReadWriteOnce (one node) or ReadWriteMany
{{- end }}
{{- if and .Values.training.enabled (not (has "ReadWriteOnce" $modes)) (not (has "ReadWriteMany" $modes)) (not (has "ReadWriteOncePod" $modes)) }}
modelStore.pvc.accessModes is ReadOnlyMany but training writes to the volume: add ReadWriteOnce, or set training.enabled=false
{{- end }}
{{- if include "tensorflow-model.modelStore.isOnOneNode" . }}
{{- include "tensorflow-model.validation.spreading" (dict "root" . "component" "server") }}
{{- end }}
{{- end }}
{{- include "tensorflow-model.validation.nodeSelectors" . }}
{{- range $key, $claim := dict "modelStore.pvc" .Values.modelStore.pvc "training.workspace" .Values.training.workspace }}
{{- if and (not $claim.existingClaim) (regexMatch "^[0.]+[A-Za-z]*$" (toString $claim.size)) }}
{{ $key }}.size is {{ $claim.size }}, in which nothing has room: write for example 1Gi
{{- end }}
{{- end }}
{{- end }}

{{/*
Rules that keep a component's pods apart while the volume keeps them together, one sentence a line. Takes dict "root"
and "component".
*/}}
{{- define "tensorflow-model.validation.spreading" -}}
{{- $name := .component }}
{{- $values := index .root.Values $name }}
{{- $labels := include "tensorflow-model.podLabels" (merge (dict "modelKey" "") .) | fromYaml }}
{{- $most := include "tensorflow-model.maxReplicas" $values | int }}
{{- $wayOut := "the model store's volume (modelStore.pvc.accessModes) is attached to one node: use ReadWriteMany, or" }}
{{- if gt $most 1 }}
{{- range $values.topologySpreadConstraints }}
{{- $isOwn := include "tensorflow-model.validation.selects" (dict "selector" .labelSelector "labels" $labels) }}
{{- if and $isOwn (ne .whenUnsatisfiable "ScheduleAnyway") (lt (int (default 1 .maxSkew)) $most) }}
{{ $name }}.topologySpreadConstraints spreads up to {{ $most }} pods over {{ .topologyKey }} but {{ $wayOut }} whenUnsatisfiable: ScheduleAnyway
{{- end }}
{{- end }}
{{- range dig "podAntiAffinity" "requiredDuringSchedulingIgnoredDuringExecution" list $values.affinity }}
{{- if include "tensorflow-model.validation.selects" (dict "selector" .labelSelector "labels" $labels) }}
{{ $name }}.affinity.podAntiAffinity keeps up to {{ $most }} pods on different {{ .topologyKey }} but {{ $wayOut }} a preferred rule
{{- end }}
{{- end }}
{{- end }}
{{- end }}

{{/*
"true" when a label selector selects pods with these labels. Takes dict "selector" (nothing selects the component's own
pods) and "labels".
*/}}
{{- define "tensorflow-model.validation.selects" -}}
{{- $selector := default dict .selector }}
{{- $isMatch := true }}
{{- range $label, $value := $selector.matchLabels }}
{{- $isMatch = and $isMatch (eq (get $.labels $label) $value) }}
{{- end }}
{{- range $selector.matchExpressions }}
{{- $isMatch = and $isMatch (include "tensorflow-model.validation.holds" (dict "expression" . "labels" $.labels)) }}
{{- end }}
{{- ternary "true" "" (not (empty $isMatch)) }}
{{- end }}

{{/* "true" when an expression of a selector holds for labels, else "". Takes dict "expression" and "labels". */}}
{{- define "tensorflow-model.validation.holds" -}}
{{- $expression := .expression }}
{{- $has := hasKey .labels $expression.key }}
{{- $isAmong := and $has (has (get .labels $expression.key) (default list $expression.values)) }}
{{- $holds := get (dict "In" $isAmong "NotIn" (not $isAmong) "Exists" $has "DoesNotExist" (not $has)) $expression.operator }}
{{- ternary "true" "" (not (empty $holds)) }}
{{- end }}

{{/*
Node selectors no one node satisfies, while the pods that mount a volume need the same one. Takes the root context.
*/}}
{{- define "tensorflow-model.validation.nodeSelectors" -}}
{{- $seen := dict }}
{{- $store := include "tensorflow-model.modelStore.isOnOneNode" . }}
{{- $workspace := include "tensorflow-model.workspace.isOnOneNode" . }}
{{- $areOnOneNode := dict
  "training" (and .Values.training.enabled (or $store $workspace))
  "server" $store
  "tensorboard" (and .Values.tensorboard.enabled $workspace)
}}
{{- range $name := list "training" "server" "tensorboard" }}
{{- if get $areOnOneNode $name }}
{{- $volume := ternary "the workspace's volume (training.workspace.accessModes)" "the model store's volume (modelStore.pvc.accessModes)" (eq $name "tensorboard") }}
{{- range $label, $value := (index $.Values $name).nodeSelector }}
{{- $other := get $seen $label | default dict }}
{{- if and $other (ne $other.value $value) }}
{{ $name }}.nodeSelector asks for {{ $label }}={{ $value }} and {{ $other.component }}.nodeSelector for {{ $other.value }} but {{ $volume }} is attached to one node: use ReadWriteMany, or the same node selector
{{- end }}
{{- $_ := set $seen $label (dict "component" $name "value" $value) }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}

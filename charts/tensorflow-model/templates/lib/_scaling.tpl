{{/* The fewest pods a component has with autoscaling. Takes the component's values. */}}
{{- define "tensorflow-model.minReplicas" -}}
{{- /* 1 is what an autoscaler has without a number. */}}
{{- ternary (ternary 1 .replicaCount (kindIs "invalid" .replicaCount)) .autoscaling.minReplicas (kindIs "invalid" .autoscaling.minReplicas) | int }}
{{- end }}

{{/* The most pods a component can have, as far as values tell: another's autoscaler may have any. Takes the component's values. */}}
{{- define "tensorflow-model.maxReplicas" -}}
{{- if .autoscaling.enabled }}
{{- .autoscaling.maxReplicas | int }}
{{- else }}
{{- ternary 1000 .replicaCount (kindIs "invalid" .replicaCount) | int }}
{{- end }}
{{- end }}

{{/*
How many pods a component's Deployment has, and how they are replaced: no number where an autoscaler, the chart's or
another, owns it. Takes dict "root" and "component".
*/}}
{{- define "tensorflow-model.replicas" -}}
{{- include "tensorflow-model.inputs" (dict "template" "replicas" "needs" (list "root" "component") "given" .) -}}
{{- $values := index .root.Values .component }}
{{- if not (or $values.autoscaling.enabled (kindIs "invalid" $values.replicaCount)) }}
replicas: {{ $values.replicaCount | int }}
{{- end }}
{{- end }}

{{/* How a component's pods are replaced, or nothing. Takes dict "root" and "component". */}}
{{- define "tensorflow-model.strategy" -}}
{{- include "tensorflow-model.inputs" (dict "template" "strategy" "needs" (list "root" "component") "given" .) -}}
{{- $values := index .root.Values .component }}
{{- $strategy := $values.strategy }}
{{- /* The default's numbers, which Kubernetes refuses beside Recreate. */}}
{{- if or (eq $strategy.type "Recreate") (not $strategy.rollingUpdate) }}
  {{- $strategy = omit $strategy "rollingUpdate" }}
{{- end }}
{{- if not $strategy.type }}
  {{- $strategy = omit $strategy "type" }}
{{- end }}
{{- with $strategy }}
strategy:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- if not (kindIs "invalid" $values.revisionHistoryLimit) }}
revisionHistoryLimit: {{ $values.revisionHistoryLimit | int }}
{{- end }}
{{- end }}

{{/*
Seconds a rollout may go without progress: pods wait for training, which may take all its time, then pull their images
and load the model. Takes the root context.
*/}}
{{- define "tensorflow-model.progressDeadlineSeconds" -}}
{{- ternary (int64 .Values.training.activeDeadlineSeconds) 0 .Values.training.enabled | add 900 }}
{{- end }}

{{/*
A component's HorizontalPodAutoscaler, or nothing. Argo CD takes one whose new pods have no metric yet for degraded, and
with it the application, so it is told to leave it out. Takes dict "root" and "component".
*/}}
{{- define "tensorflow-model.hpa" -}}
{{- include "tensorflow-model.inputs" (dict "template" "hpa" "needs" (list "root" "component") "given" .) -}}
{{- $values := index .root.Values .component }}
{{- $autoscaling := $values.autoscaling }}
{{- $annotations := merge (dict) $autoscaling.annotations (dict "argocd.argoproj.io/ignore-healthcheck" "true") }}
{{- if $autoscaling.enabled }}
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata:
  {{- include "tensorflow-model.metadata" (dict "root" .root "component" .component "annotations" $annotations) | nindent 2 }}
spec:
  scaleTargetRef:
    apiVersion: apps/v1
    kind: Deployment
    name: {{ include "tensorflow-model.fullname" .root }}-{{ .component }}
  minReplicas: {{ include "tensorflow-model.minReplicas" $values }}
  maxReplicas: {{ $autoscaling.maxReplicas | int }}
  metrics:
    {{- with $autoscaling.targetCPUUtilizationPercentage }}
    - type: Resource
      resource:
        name: cpu
        target:
          type: Utilization
          averageUtilization: {{ . | int }}
    {{- end }}
    {{- with $autoscaling.metrics }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  {{- with $autoscaling.behavior }}
  behavior:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end }}
{{- end }}

{{/* A component's PodDisruptionBudget, where more than one pod is possible. Takes dict "root" and "component". */}}
{{- define "tensorflow-model.pdb" -}}
{{- include "tensorflow-model.inputs" (dict "template" "pdb" "needs" (list "root" "component") "given" .) -}}
{{- $values := index .root.Values .component }}
{{- $budget := $values.podDisruptionBudget }}
{{- if and $budget.enabled (gt (include "tensorflow-model.maxReplicas" $values | int) 1) }}
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata:
  {{- include "tensorflow-model.metadata" . | nindent 2 }}
spec:
  {{- range $name := list "maxUnavailable" "minAvailable" }}
  {{- if not (kindIs "invalid" (index $budget $name)) }}
  {{ $name }}: {{ index $budget $name | toJson }}
  {{- end }}
  {{- end }}
  selector:
    matchLabels:
      {{- include "tensorflow-model.selectorLabels" . | nindent 6 }}
  # Pods that still wait for their model serve nobody; counting them would block a node's drain until training ends.
  unhealthyPodEvictionPolicy: AlwaysAllow
{{- end }}
{{- end }}

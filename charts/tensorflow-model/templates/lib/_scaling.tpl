{{/* The fewest pods a component has with autoscaling. Takes the component's values. */}}
{{- define "tensorflow-model.minReplicas" -}}
{{- ternary .replicaCount .autoscaling.minReplicas (kindIs "invalid" .autoscaling.minReplicas) | int }}
{{- end }}

{{/* The most pods a component can have. Takes the component's values. */}}
{{- define "tensorflow-model.maxReplicas" -}}
{{- ternary .autoscaling.maxReplicas .replicaCount .autoscaling.enabled | int }}
{{- end }}

{{/*
The rolling update of a component that must not lose a request: a new pod is ready before an old one goes. Takes nothing.
*/}}
{{- define "tensorflow-model.strategy" -}}
type: RollingUpdate
rollingUpdate:
  maxSurge: 1
  maxUnavailable: 0
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
{{- $annotations := dict "argocd.argoproj.io/ignore-healthcheck" "true" }}
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
  maxUnavailable: {{ $budget.maxUnavailable | toJson }}
  selector:
    matchLabels:
      {{- include "tensorflow-model.selectorLabels" . | nindent 6 }}
  # Pods that still wait for their model serve nobody; counting them would block a node's drain until training ends.
  unhealthyPodEvictionPolicy: AlwaysAllow
{{- end }}
{{- end }}

{{/* A component's HorizontalPodAutoscaler, or nothing. Takes dict "root" and "component". */}}
{{- define "tensorflow-model.hpa" -}}
{{- $values := index .root.Values .component }}
{{- if $values.autoscaling.enabled }}
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata:
  name: {{ include "tensorflow-model.fullname" .root }}-{{ .component }}
  labels:
    {{- include "tensorflow-model.labels" . | nindent 4 }}
  {{- with include "tensorflow-model.annotations" (dict "root" .root "annotations" dict) }}
  {{- . | nindent 2 }}
  {{- end }}
spec:
  scaleTargetRef:
    apiVersion: apps/v1
    kind: Deployment
    name: {{ include "tensorflow-model.fullname" .root }}-{{ .component }}
  minReplicas: {{ include "tensorflow-model.minReplicas" $values }}
  maxReplicas: {{ $values.autoscaling.maxReplicas | int }}
  metrics:
    - type: Resource
      resource:
        name: cpu
        target:
          type: Utilization
          averageUtilization: {{ $values.autoscaling.targetCPUUtilizationPercentage | int }}
    {{- with $values.autoscaling.metrics }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  {{- with $values.autoscaling.behavior }}
  behavior:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end }}
{{- end }}

{{/* A component's PodDisruptionBudget, where more than one pod is possible. Takes dict "root" and "component". */}}
{{- define "tensorflow-model.pdb" -}}
{{- $values := index .root.Values .component }}
{{- if and $values.podDisruptionBudget.enabled (gt (int (include "tensorflow-model.maxReplicas" $values)) 1) }}
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata:
  name: {{ include "tensorflow-model.fullname" .root }}-{{ .component }}
  labels:
    {{- include "tensorflow-model.labels" . | nindent 4 }}
  {{- with include "tensorflow-model.annotations" (dict "root" .root "annotations" dict) }}
  {{- . | nindent 2 }}
  {{- end }}
spec:
  maxUnavailable: {{ $values.podDisruptionBudget.maxUnavailable }}
  selector:
    matchLabels:
      {{- include "tensorflow-model.selectorLabels" . | nindent 6 }}
{{- end }}
{{- end }}

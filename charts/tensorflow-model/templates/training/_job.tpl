{{/* What the Job makes of a failed pod. Takes nothing. */}}
{{- define "tensorflow-model.training.podFailurePolicy" -}}
rules:
  # The trainer's exit codes 2 (bad input) and 3 (below minAccuracy) do not go away by trying again.
  - action: FailJob
    onExitCodes:
      containerName: training
      operator: In
      values: [2, 3]
  # A drained node is nobody's failure.
  - action: Ignore
    onPodConditions:
      - type: DisruptionTarget
        status: "True"
{{- end }}

{{/*
Name of the training Job. It ends in a digest of what cannot change in a Job, its pod template and failure policy: any
change makes a new Job, and an unchanged Job is left alone. The digest is of the content, not of the text, so that a
tidier template is not a change. Takes the root context.
*/}}
{{- define "tensorflow-model.training.jobName" -}}
{{- $template := include "tensorflow-model.training.pod" . | fromYaml }}
{{- $policy := include "tensorflow-model.training.podFailurePolicy" . | fromYaml }}
{{- $digest := dict "template" $template "podFailurePolicy" $policy | toJson | sha256sum | trunc 8 }}
{{- printf "%s-training-%s" (include "tensorflow-model.fullname" .) $digest }}
{{- end }}

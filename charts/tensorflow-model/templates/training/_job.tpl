{{/* What the Job makes of a failed pod. Takes nothing. */}}
{{- define "tensorflow-model.training.podFailurePolicy" -}}
rules:
  # Bad input (2) and a model that is not good enough (3) do not go away by trying again. A fault of the store (4) may,
  # and so may whatever else ends the user's code.
  {{- range $name, $codes := dict "check" (list 2) "training" (list 2) "publisher" (list 2 3) }}
  - action: FailJob
    onExitCodes:
      containerName: {{ $name }}
      operator: In
      values: {{ toJson $codes }}
  {{- end }}
  # A drained node is nobody's failure.
  - action: Ignore
    onPodConditions:
      - type: DisruptionTarget
        status: "True"
{{- end }}

{{/*
Spec of a training Job without `suspend`, which is the one field of it that may change. Takes dict "root" and
"isScheduled".
*/}}
{{- define "tensorflow-model.training.jobSpec" -}}
{{- $training := .root.Values.training -}}
activeDeadlineSeconds: {{ $training.activeDeadlineSeconds | int64 }}
backoffLimit: {{ $training.backoffLimit | int }}
podFailurePolicy:
  {{- include "tensorflow-model.training.podFailurePolicy" . | nindent 2 }}
template:
  {{- include "tensorflow-model.training.pod" . | nindent 2 }}
{{- end }}

{{/*
Name of the training Job. It ends in a digest of its spec: any change, a raised deadline as well, makes a new Job, and an
unchanged Job is left alone. The digest is of the content, not of the text, so that a tidier template is not a change.
Takes the root context.
*/}}
{{- define "tensorflow-model.training.jobName" -}}
{{- $spec := include "tensorflow-model.training.jobSpec" (dict "root" . "isScheduled" false) | fromYaml }}
{{- printf "%s-training-%s" (include "tensorflow-model.fullname" .) ($spec | toJson | sha256sum | trunc 8) }}
{{- end }}

{{/* Labels and annotations of the Job and of a schedule's, as JSON; its pods have others. Takes the root context. */}}
{{- define "tensorflow-model.training.ownMetadata" -}}
{{- $key := dict "tensorflow-model/model-key" (include "tensorflow-model.model.key" .) }}
{{- dict "labels" (merge $key .Values.training.labels) "annotations" .Values.training.annotations | toJson }}
{{- end }}

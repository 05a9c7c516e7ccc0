{{/*
The pod template of the training Job, whose digest is part of the Job's name. Versions of the chart stay out of it.
Takes the root context.
*/}}
{{- define "tensorflow-model.training.pod" -}}
{{- $root := dict "root" . "component" "training" }}
{{- $training := .Values.training }}
metadata:
  labels:
    {{- include "tensorflow-model.podLabels" $root | nindent 4 }}
  {{- with merge (dict) $training.podAnnotations .Values.commonAnnotations }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
spec:
  {{- include "tensorflow-model.podHead" $root | nindent 2 }}
  restartPolicy: Never
  terminationGracePeriodSeconds: {{ $training.terminationGracePeriodSeconds | int }}
  {{- with include "tensorflow-model.scheduling" $root | trim }}
  {{- . | nindent 2 }}
  {{- end }}
  containers:
    - name: training
      image: {{ include "tensorflow-model.image" $root }}
      imagePullPolicy: {{ $training.image.pullPolicy }}
      {{- with $training.extraArgs }}
      args:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      env:
        - name: MODEL_NAME
          value: {{ .Values.model.name | quote }}
        - name: MODEL_KEY
          value: {{ include "tensorflow-model.modelKey" . | quote }}
        - name: MODEL_STORE
          value: /model-store
        - name: DATASET
          value: {{ $training.dataset.name | quote }}
        - name: EPOCHS
          value: {{ $training.params.epochs | int64 | toString | quote }}
        - name: BATCH_SIZE
          value: {{ $training.params.batchSize | int64 | toString | quote }}
        - name: HIDDEN_UNITS
          value: {{ $training.params.hiddenUnits | int64 | toString | quote }}
        - name: DROPOUT
          value: {{ $training.params.dropout | toJson | quote }}
        - name: LEARNING_RATE
          value: {{ $training.params.learningRate | toJson | quote }}
        - name: SEED
          value: {{ $training.params.seed | int64 | toString | quote }}
        - name: MIN_ACCURACY
          value: {{ $training.minAccuracy | toJson | quote }}
        {{- with $training.extraEnv }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
      {{- with $training.extraEnvFrom }}
      envFrom:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      resources:
        {{- toYaml $training.resources | nindent 8 }}
      securityContext:
        {{- include "tensorflow-model.securityContext" $training.securityContext | nindent 8 }}
      volumeMounts:
        - name: model-store
          mountPath: /model-store
        - name: tmp
          mountPath: /tmp
        {{- with $training.extraVolumeMounts }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
  volumes:
    {{- include "tensorflow-model.volumes" $root | nindent 4 }}
{{- end }}

{{/* Name of the training Job: the same for the same pod template, so an unchanged Job is left alone. */}}
{{- define "tensorflow-model.training.jobName" -}}
{{- $digest := include "tensorflow-model.training.pod" . | sha256sum | trunc 8 }}
{{- printf "%s-training-%s" (include "tensorflow-model.fullname" .) $digest }}
{{- end }}

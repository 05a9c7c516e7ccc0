{{/*
Environment of the trainer: every flag of it that a value sets. Takes the root context.
*/}}
{{- define "tensorflow-model.training.env" -}}
{{- $training := .Values.training -}}
- name: MODEL_NAME
  value: {{ .Values.model.name | quote }}
- name: MODEL_KEY
  value: {{ include "tensorflow-model.model.key" . | quote }}
- name: MODEL_STORE
  value: /model-store
- name: DATASET
  value: {{ $training.dataset.name | quote }}
{{- range $name, $value := $training.params }}
- name: {{ $name | snakecase | upper }}
  value: {{ include "tensorflow-model.number" $value | quote }}
{{- end }}
- name: MIN_ACCURACY
  value: {{ include "tensorflow-model.number" $training.minAccuracy | quote }}
{{- end }}

{{/* The pod template of the training Job. Versions of the chart stay out of it. Takes the root context. */}}
{{- define "tensorflow-model.training.pod" -}}
{{- $component := dict "root" . "component" "training" "modelKey" (include "tensorflow-model.model.key" .) }}
{{- $training := .Values.training -}}
metadata:
  labels:
    {{- include "tensorflow-model.podLabels" $component | nindent 4 }}
  {{- with include "tensorflow-model.annotations" (dict "root" . "annotations" $training.podAnnotations) }}
  {{- . | nindent 2 }}
  {{- end }}
spec:
  {{- include "tensorflow-model.podHead" $component | nindent 2 }}
  {{- with include "tensorflow-model.scheduling" $component }}
  {{- . | nindent 2 }}
  {{- end }}
  restartPolicy: Never
  terminationGracePeriodSeconds: {{ $training.terminationGracePeriodSeconds | int }}
  containers:
    - name: training
      image: {{ include "tensorflow-model.image" $component | quote }}
      imagePullPolicy: {{ $training.image.pullPolicy }}
      {{- with $training.extraArgs }}
      args:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      env:
        {{- include "tensorflow-model.training.env" . | nindent 8 }}
        {{- with $training.extraEnv }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
      {{- with $training.extraEnvFrom }}
      envFrom:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- with $training.resources }}
      resources:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- with $training.securityContext }}
      securityContext:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      volumeMounts:
        - name: model-store
          mountPath: /model-store
        - name: tmp
          mountPath: /tmp
        {{- with $training.extraVolumeMounts }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
  volumes:
    {{- include "tensorflow-model.volumes" $component | nindent 4 }}
{{- end }}

{{/* User and group of every container: what the images are built for. */}}
{{- define "tensorflow-model.podSecurityContext" -}}
{{- $defaults := dict "runAsNonRoot" true "runAsUser" 10001 "runAsGroup" 10001 "fsGroup" 10001 "fsGroupChangePolicy" "OnRootMismatch" "seccompProfile" (dict "type" "RuntimeDefault") }}
{{- toYaml (mergeOverwrite $defaults (deepCopy .)) }}
{{- end }}

{{/* What Pod Security "restricted" asks for, and a read-only root. Takes the component's own securityContext. */}}
{{- define "tensorflow-model.securityContext" -}}
{{- $defaults := dict "allowPrivilegeEscalation" false "readOnlyRootFilesystem" true "capabilities" (dict "drop" (list "ALL")) }}
{{- toYaml (mergeOverwrite $defaults (deepCopy .)) }}
{{- end }}

{{/*
Affinity of a component's pods. A ReadWriteOnce volume is attached to one node: without a shared node a training pod and
a waiting server pod would lock each other out, so the pods that mount it attract each other.
Takes dict "root" and "component".
*/}}
{{- define "tensorflow-model.affinity" -}}
{{- $affinity := deepCopy (index .root.Values .component).affinity }}
{{- if not (has "ReadWriteMany" .root.Values.modelStore.pvc.accessModes) }}
{{- $claim := include "tensorflow-model.modelStore.claimName" .root | trunc 63 | trimSuffix "-" }}
{{- $term := dict "labelSelector" (dict "matchLabels" (dict "tensorflow-model/model-store" $claim)) "topologyKey" "kubernetes.io/hostname" }}
{{- $podAffinity := default (dict) $affinity.podAffinity }}
{{- $required := append (default (list) $podAffinity.requiredDuringSchedulingIgnoredDuringExecution) $term }}
{{- $_ := set $podAffinity "requiredDuringSchedulingIgnoredDuringExecution" $required }}
{{- $_ := set $affinity "podAffinity" $podAffinity }}
{{- end }}
{{- with $affinity }}
{{- toYaml . }}
{{- end }}
{{- end }}

{{/* Where a component's pods run. Takes dict "root" and "component". */}}
{{- define "tensorflow-model.scheduling" -}}
{{- $values := index .root.Values .component }}
{{- with $values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with include "tensorflow-model.affinity" . }}
affinity:
  {{- . | nindent 2 }}
{{- end }}
{{- with $values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $values.topologySpreadConstraints }}
topologySpreadConstraints:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with $values.runtimeClassName }}
runtimeClassName: {{ . }}
{{- end }}
{{- end }}

{{/* The first fields of every pod spec. Takes dict "root" and "component". */}}
{{- define "tensorflow-model.podHead" -}}
{{- with include "tensorflow-model.imagePullSecrets" .root }}
{{- . }}
{{ end -}}
serviceAccountName: {{ include "tensorflow-model.serviceAccountName" .root }}
automountServiceAccountToken: false
enableServiceLinks: false
securityContext:
  {{- include "tensorflow-model.podSecurityContext" (index .root.Values .component).podSecurityContext | nindent 2 }}
{{- end }}

{{/* Volumes of every pod: the model store (read-only unless "write"), a writable /tmp. Takes "root", "component". */}}
{{- define "tensorflow-model.volumes" -}}
- name: model-store
  persistentVolumeClaim:
    claimName: {{ include "tensorflow-model.modelStore.claimName" .root }}
- name: tmp
  emptyDir: {}
{{- with (index .root.Values .component).extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* The loader init container. Takes dict "root" and "manifestOnly". */}}
{{- define "tensorflow-model.loader" -}}
- name: loader
  image: {{ include "tensorflow-model.image" (dict "root" .root "component" "loader") }}
  imagePullPolicy: {{ .root.Values.loader.image.pullPolicy }}
  {{- if .manifestOnly }}
  args: ["--manifest-only"]
  {{- end }}
  env:
    - name: MODEL_STORE
      value: /model-store
    - name: MODEL_NAME
      value: {{ .root.Values.model.name | quote }}
    - name: MODEL_KEY
      value: {{ include "tensorflow-model.modelKey" .root | quote }}
    - name: MODEL_VERSION
      value: {{ .root.Values.model.version | toString | quote }}
    - name: TARGET
      value: /models
    - name: TIMEOUT_SECONDS
      value: {{ .root.Values.loader.timeoutSeconds | toString | quote }}
    - name: VERIFY
      value: {{ .root.Values.modelStore.verify.enabled | toString | quote }}
  resources:
    {{- toYaml .root.Values.loader.resources | nindent 4 }}
  securityContext:
    {{- include "tensorflow-model.securityContext" .root.Values.loader.securityContext | nindent 4 }}
  volumeMounts:
    - name: model-store
      mountPath: /model-store
      readOnly: true
    - name: models
      mountPath: /models
{{- end }}

{{/* The rolling update of a component that must never lose a request: a new pod is ready before an old one goes. */}}
{{- define "tensorflow-model.strategy" -}}
type: RollingUpdate
rollingUpdate:
  maxSurge: 1
  maxUnavailable: 0
{{- end }}

{{/* The fewest pods a component has with autoscaling. Takes the component's values. */}}
{{- define "tensorflow-model.minReplicas" -}}
{{- if kindIs "invalid" .autoscaling.minReplicas }}{{ .replicaCount | int }}{{ else }}{{ .autoscaling.minReplicas | int }}{{ end }}
{{- end }}

{{/* The most pods a component can have. Takes the component's values. */}}
{{- define "tensorflow-model.maxReplicas" -}}
{{- if .autoscaling.enabled }}{{ .autoscaling.maxReplicas | int }}{{ else }}{{ .replicaCount | int }}{{ end }}
{{- end }}

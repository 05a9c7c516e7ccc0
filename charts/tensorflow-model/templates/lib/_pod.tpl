{{/* The first fields of every pod spec: identity and user. Takes dict "root" and "component". */}}
{{- define "tensorflow-model.podHead" -}}
{{- include "tensorflow-model.inputs" (dict "template" "podHead" "needs" (list "root" "component") "given" .) -}}
{{- with include "tensorflow-model.imagePullSecrets" .root | fromYamlArray -}}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{ end -}}
serviceAccountName: {{ include "tensorflow-model.serviceAccountName" .root | quote }}
automountServiceAccountToken: false
# Services are found by DNS.
enableServiceLinks: false
{{- with (index .root.Values .component).podSecurityContext }}
securityContext:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/*
Volumes of every pod: the model store where it is mounted, a writable /tmp, and the component's own. Takes dict "root"
and "component".
*/}}
{{- define "tensorflow-model.volumes" -}}
{{- include "tensorflow-model.inputs" (dict "template" "volumes" "needs" (list "root" "component") "given" .) -}}
{{- if include "tensorflow-model.modelStore.isMounted" . -}}
- name: model-store
  persistentVolumeClaim:
    claimName: {{ include "tensorflow-model.modelStore.claimName" .root | quote }}
{{ end -}}
- name: tmp
  {{- include "tensorflow-model.emptyDir" (index .root.Values .component).tmpSizeLimit | nindent 2 }}
{{- with (index .root.Values .component).extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* Pull secrets of every pod as a pod has them, given by name or as a reference. Takes the root context. */}}
{{- define "tensorflow-model.imagePullSecrets" -}}
{{- $secrets := list }}
{{- range concat .Values.global.imagePullSecrets .Values.imagePullSecrets }}
  {{- $secrets = append $secrets (ternary (dict "name" .) . (kindIs "string" .)) }}
{{- end }}
{{- $secrets | uniq | toYaml }}
{{- end }}

{{/* A folder that goes with the pod. Takes how much it may hold; empty means no limit. */}}
{{- define "tensorflow-model.emptyDir" -}}
{{- if . -}}
emptyDir:
  sizeLimit: {{ . | quote }}
{{- else -}}
emptyDir: {}
{{- end }}
{{- end }}

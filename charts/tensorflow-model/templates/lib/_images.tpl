{{/* Reference of a component's image; a digest wins over a tag. Takes dict "root" and "component". */}}
{{- define "tensorflow-model.image" -}}
{{- $image := (index .root.Values .component).image }}
{{- $registry := default $image.registry .root.Values.global.imageRegistry }}
{{- $name := ternary $image.repository (printf "%s/%s" $registry $image.repository) (empty $registry) }}
{{- if $image.digest }}
{{- printf "%s@%s" $name $image.digest }}
{{- else }}
{{- printf "%s:%s" $name (default .root.Chart.AppVersion $image.tag | toString) }}
{{- end }}
{{- end }}

{{/* The imagePullSecrets block of a pod, or nothing. Takes the root context. */}}
{{- define "tensorflow-model.imagePullSecrets" -}}
{{- with concat .Values.global.imagePullSecrets .Values.imagePullSecrets | uniq -}}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

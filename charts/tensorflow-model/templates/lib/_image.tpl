{{/*
Reference of a component's image; a digest wins over a tag. Takes dict "root" and "component".
*/}}
{{- define "tensorflow-model.image" -}}
{{- include "tensorflow-model.inputs" (dict "template" "image" "needs" (list "root" "component") "given" .) -}}
{{- $image := (index .root.Values .component).image }}
{{- $registry := default $image.registry .root.Values.global.imageRegistry }}
{{- $name := list $registry $image.repository | compact | join "/" }}
{{- if $image.digest }}
{{- printf "%s@%s" $name $image.digest }}
{{- else }}
{{- printf "%s:%s" $name (default .root.Chart.AppVersion $image.tag) }}
{{- end }}
{{- end }}

{{/* Image of a container, and when it is pulled. Takes dict "root" and "component". */}}
{{- define "tensorflow-model.containerImage" -}}
image: {{ include "tensorflow-model.image" . | quote }}
{{- with (index .root.Values .component).image.pullPolicy }}
imagePullPolicy: {{ . }}
{{- end }}
{{- end }}

{{/*
The Service in front of a component's pods. Takes dict "root", "component" and "ports" (names of the container's, which
are the Service's).
*/}}
{{- define "tensorflow-model.service" -}}
{{- include "tensorflow-model.inputs" (dict "template" "service" "needs" (list "root" "component" "ports") "given" .) -}}
{{- $service := (index .root.Values .component).service -}}
apiVersion: v1
kind: Service
metadata:
  {{- include "tensorflow-model.metadata" (merge (pick $service "labels" "annotations") .) | nindent 2 }}
spec:
  {{- range $name := list "type" "loadBalancerClass" "externalTrafficPolicy" "internalTrafficPolicy" }}
  {{- with index $service $name }}
  {{ $name }}: {{ . | quote }}
  {{- end }}
  {{- end }}
  {{- with include "tensorflow-model.ipFamilies" $service }}
  {{- . | nindent 2 }}
  {{- end }}
  {{- with $service.loadBalancerSourceRanges }}
  loadBalancerSourceRanges:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  selector:
    {{- include "tensorflow-model.selectorLabels" . | nindent 4 }}
  ports:
    {{- range $name := .ports }}
    - name: {{ $name }}
      port: {{ index $service.ports $name | int }}
      targetPort: {{ $name }}
      {{- with index $service.nodePorts $name }}
      nodePort: {{ . | int }}
      {{- end }}
    {{- end }}
{{- end }}

{{/* Address families of a Service, or nothing. Takes the component's service. */}}
{{- define "tensorflow-model.ipFamilies" -}}
{{- $fields := dict }}
{{- range $name := list "ipFamilyPolicy" "ipFamilies" }}
  {{- with index $ $name }}
    {{- $_ := set $fields $name . }}
  {{- end }}
{{- end }}
{{- with $fields }}
{{- toYaml . }}
{{- end }}
{{- end }}

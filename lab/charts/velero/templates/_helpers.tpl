{{- define "velero.labels" -}}
app.kubernetes.io/name: velero
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end }}

{{- define "velero.selector" -}}
app.kubernetes.io/name: velero
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "velero.image" -}}
{{ .Values.image.repository }}:{{ .Values.image.tag }}
{{- end }}

{{- define "velero.credentialsEnvironment" -}}
- name: VELERO_SCRATCH_DIR
  value: /scratch
- name: VELERO_NAMESPACE
  valueFrom: {fieldRef: {fieldPath: metadata.namespace}}
{{- if .Values.credentials.useSecret }}
- name: AWS_SHARED_CREDENTIALS_FILE
  value: /credentials/cloud
{{- end }}
{{- end }}

{{- define "velero.credentialsVolume" -}}
{{- if .Values.credentials.useSecret }}
- name: cloud-credentials
  secret:
    secretName: {{ required "credentials.existingSecret" .Values.credentials.existingSecret }}
{{- end }}
- name: scratch
  emptyDir: {}
{{- end }}

{{- define "velero.credentialsMount" -}}
{{- if .Values.credentials.useSecret }}
- name: cloud-credentials
  mountPath: /credentials
{{- end }}
- name: scratch
  mountPath: /scratch
{{- end }}

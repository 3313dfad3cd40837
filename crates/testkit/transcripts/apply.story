# Client-side and server-side apply, conflicts, and what would change.
$ kubectl apply -f settings.yaml
configmap/settings created
$ kubectl apply -f settings.yaml
configmap/settings unchanged
$ kubectl get configmap settings -o jsonpath='{.metadata.annotations.kubectl\.kubernetes\.io/last-applied-configuration}'
{"apiVersion":"v1","data":{"color":"blue","size":"large"},"kind":"ConfigMap","metadata":{"annotations":{},"labels":{"app":"shop"},"name":"settings","namespace":"apply"}}
$ kubectl diff -f settings.yaml
$ kubectl diff -f settings-changed.yaml | grep -E '^[+-] ' | grep -v last-applied
-  color: blue
-  size: large
+  color: green
$ kubectl apply -f settings-changed.yaml
configmap/settings configured
$ kubectl get configmap settings -o jsonpath='{.data}{"\n"}'
{"color":"green"}
$ kubectl apply view-last-applied configmap settings
apiVersion: v1
data:
  color: green
kind: ConfigMap
metadata:
  annotations: {}
  labels:
    app: shop
  name: settings
  namespace: apply
$ kubectl apply -f settings.yaml --dry-run=server
configmap/settings configured (server dry run)
$ kubectl apply --server-side --field-manager=one -f web.yaml
deployment.apps/web serverside-applied
$ kubectl apply --server-side --field-manager=one -f web.yaml
deployment.apps/web serverside-applied
$ kubectl get deployment web --show-managed-fields -o jsonpath='{range .metadata.managedFields[?(@.operation=="Apply")]}{.manager}{" "}{.operation}{"\n"}{end}'
one Apply
$ sed s/replicas:.2/replicas:\ 3/ web.yaml | kubectl apply --server-side --field-manager=two -f -
error: Apply failed with 1 conflict: conflict with "one": .spec.replicas
Please review the fields above--they currently have other managers. Here
are the ways you can resolve this warning:
* If you intend to manage all of these fields, please re-run the apply
  command with the `--force-conflicts` flag.
* If you do not intend to manage all of the fields, please edit your
  manifest to remove references to the fields that should keep their
  current managers.
* You may co-own fields by updating your manifest to match the existing
  value; in this case, you'll become the manager if the other manager(s)
  stop managing the field (remove it from their configuration).
See https://kubernetes.io/docs/reference/using-api/server-side-apply/#conflicts
[exit code 1]
$ sed s/replicas:.2/replicas:\ 3/ web.yaml | kubectl apply --server-side --field-manager=two --force-conflicts -f -
deployment.apps/web serverside-applied
$ kubectl get deployment web -o jsonpath='{.spec.replicas}{"\n"}'
3
$ kubectl apply --server-side --field-manager=one -f web.yaml
error: Apply failed with 1 conflict: conflict with "two": .spec.replicas
Please review the fields above--they currently have other managers. Here
are the ways you can resolve this warning:
* If you intend to manage all of these fields, please re-run the apply
  command with the `--force-conflicts` flag.
* If you do not intend to manage all of the fields, please edit your
  manifest to remove references to the fields that should keep their
  current managers.
* You may co-own fields by updating your manifest to match the existing
  value; in this case, you'll become the manager if the other manager(s)
  stop managing the field (remove it from their configuration).
See https://kubernetes.io/docs/reference/using-api/server-side-apply/#conflicts
[exit code 1]
$ kubectl apply -f wrong.yaml
The Deployment "Wrong_Name" is invalid:
* metadata.name: Invalid value: "Wrong_Name": a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')
* spec.replicas: Invalid value: -1: must be greater than or equal to 0
* spec.template.metadata.labels: Invalid value: {"app":"other"}: `selector` does not match template `labels`
* spec.template.spec.containers: Required value
[exit code 1]
$ kubectl apply -f unknown.yaml
Error from server (BadRequest): error when creating "unknown.yaml": ConfigMap in version "v1" cannot be handled as a ConfigMap: strict decoding error: unknown field "colour"
[exit code 1]
$ kubectl apply -f none.yaml
error: the path "none.yaml" does not exist
[exit code 1]
$ kubectl delete -f web.yaml
deployment.apps "web" deleted from apply namespace

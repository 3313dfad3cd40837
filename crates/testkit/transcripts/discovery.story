# What there is: resources, their short names, and which a subject may use.
$ kubectl api-resources --api-group=apps
NAME  SHORTNAMES  APIVERSION  NAMESPACED  KIND
controllerrevisions  apps/v1  true  ControllerRevision
daemonsets  ds  apps/v1  true  DaemonSet
deployments  deploy  apps/v1  true  Deployment
replicasets  rs  apps/v1  true  ReplicaSet
statefulsets  sts  apps/v1  true  StatefulSet
$ kubectl api-resources --api-group=batch
NAME  SHORTNAMES  APIVERSION  NAMESPACED  KIND
cronjobs  cj  batch/v1  true  CronJob
jobs  batch/v1  true  Job
$ kubectl api-resources --api-group=policy
NAME  SHORTNAMES  APIVERSION  NAMESPACED  KIND
poddisruptionbudgets  pdb  policy/v1  true  PodDisruptionBudget
$ kubectl api-resources --api-group=networking.k8s.io --namespaced=true -o name | grep -v networkpolicies
ingresses.networking.k8s.io
$ kubectl api-resources --api-group=rbac.authorization.k8s.io -o wide
NAME  SHORTNAMES  APIVERSION  NAMESPACED  KIND  VERBS  CATEGORIES
clusterrolebindings  rbac.authorization.k8s.io/v1  false  ClusterRoleBinding  create,delete,deletecollection,get,list,patch,update,watch
clusterroles  rbac.authorization.k8s.io/v1  false  ClusterRole  create,delete,deletecollection,get,list,patch,update,watch
rolebindings  rbac.authorization.k8s.io/v1  true  RoleBinding  create,delete,deletecollection,get,list,patch,update,watch
roles  rbac.authorization.k8s.io/v1  true  Role  create,delete,deletecollection,get,list,patch,update,watch
$ kubectl api-versions | grep -E '^(v1|apps/v1|batch/v1|policy/v1|autoscaling/v2|networking.k8s.io/v1|rbac.authorization.k8s.io/v1|coordination.k8s.io/v1|discovery.k8s.io/v1)$'
apps/v1
autoscaling/v2
batch/v1
coordination.k8s.io/v1
discovery.k8s.io/v1
networking.k8s.io/v1
policy/v1
rbac.authorization.k8s.io/v1
v1
$ kubectl version -o json | grep -A2 serverVersion
  "serverVersion": {
    "major": "1",
    "minor": "36",
$ kubectl explain deployment.spec.strategy.rollingUpdate.maxSurge | head -n 4
GROUP:  apps
KIND:  Deployment
VERSION:  v1

$ kubectl explain nothing
the server doesn't have a resource type "nothing"
[exit code 1]
$ kubectl get nothing
error: the server doesn't have a resource type "nothing"
[exit code 1]
$ kubectl get --raw /healthz
ok
$ kubectl get --raw /readyz
ok
$ kubectl get --raw /nothing
Error from server (NotFound): the server could not find the requested resource
[exit code 1]

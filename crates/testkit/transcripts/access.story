# Who may do what, and tokens that say who one is.
$ kubectl auth whoami -o jsonpath='{.status.userInfo.username} {.status.userInfo.groups}{"\n"}'
admin ["system:masters","system:authenticated"]
$ kubectl auth can-i create deployments
yes
$ kubectl create serviceaccount robot
serviceaccount/robot created
$ kubectl auth can-i list pods --as=system:serviceaccount:access:robot
no
[exit code 1]
$ kubectl get pods --as=system:serviceaccount:access:robot
Error from server (Forbidden): pods is forbidden: User "system:serviceaccount:access:robot" cannot list resource "pods" in API group "" in the namespace "access"
[exit code 1]
$ kubectl create configmap no --as=system:serviceaccount:access:robot
error: failed to create configmap: configmaps is forbidden: User "system:serviceaccount:access:robot" cannot create resource "configmaps" in API group "" in the namespace "access"
[exit code 1]
$ kubectl create role reader --verb=get,list,watch --resource=pods,configmaps
role.rbac.authorization.k8s.io/reader created
$ kubectl create rolebinding robot-reads --role=reader --serviceaccount=access:robot
rolebinding.rbac.authorization.k8s.io/robot-reads created
: until kubectl auth can-i list pods --as=system:serviceaccount:access:robot >/dev/null; do sleep 0.2; done
$ kubectl auth can-i list pods --as=system:serviceaccount:access:robot
yes
$ kubectl auth can-i delete pods --as=system:serviceaccount:access:robot
no
[exit code 1]
$ kubectl auth can-i list pods --as=system:serviceaccount:access:robot --namespace=default
no
[exit code 1]
$ kubectl auth can-i --list --as=system:serviceaccount:access:robot | grep -E 'pods|configmaps|selfsubject|livez' | sort -u
                                                [/livez]  []  [get]
configmaps  []  []  [get list watch]
pods  []  []  [get list watch]
selfsubjectaccessreviews.authorization.k8s.io  []  []  [create]
selfsubjectreviews.authentication.k8s.io  []  []  [create]
selfsubjectrulesreviews.authorization.k8s.io  []  []  [create]
$ kubectl get pods --as=system:serviceaccount:access:robot
No resources found in access namespace.
$ kubectl describe role reader
Name:  reader
Labels:  <none>
Annotations:  <none>
PolicyRule:
  Resources  Non-Resource URLs  Resource Names  Verbs
  ---------  -----------------  --------------  -----
  configmaps  []  []  [get list watch]
  pods  []  []  [get list watch]
$ kubectl describe rolebinding robot-reads
Name:  robot-reads
Labels:  <none>
Annotations:  <none>
Role:
  Kind:  Role
  Name:  reader
Subjects:
  Kind  Name  Namespace
  ----  ----  ---------
  ServiceAccount  robot  access
$ kubectl get role,rolebinding
NAME  CREATED AT
role.rbac.authorization.k8s.io/reader  [time]

NAME  ROLE  AGE
rolebinding.rbac.authorization.k8s.io/robot-reads  Role/reader  [age]
$ kubectl create token robot
[token]
$ kubectl create token robot --duration=1s
error: failed to create token: TokenRequest.authentication.k8s.io "" is invalid: spec.expirationSeconds: Invalid value: 1: may not specify a duration less than 10 minutes
[exit code 1]
$ kubectl create token nobody
error: failed to create token: serviceaccounts "nobody" not found
[exit code 1]
$ kubectl auth whoami --as=ada --as-group=shop -o jsonpath='{.status.userInfo.username} {.status.userInfo.groups}{"\n"}'
ada ["shop","system:authenticated"]

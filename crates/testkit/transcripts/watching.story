# A watch tells of every change in order; an object that is no longer selected is deleted to it.
: kubectl create configmap one --from-literal=a=1
: kubectl label configmap one watched=yes
$ kubectl get configmaps -l watched=yes -w --output-watch-events --no-headers >seen 2>&1 & watch=$!; until [ -s seen ]; do sleep 0.1; done; kubectl patch configmap one --type=merge -p '{"data":{"b":"2"}}'; kubectl create configmap two --from-literal=c=3; kubectl label configmap two watched=yes; kubectl label configmap one watched=no --overwrite; kubectl delete configmap two; until [ "$(grep -c DELETED seen)" = 2 ]; do sleep 0.1; done; kill $watch; cat seen
configmap/one patched
configmap/two created
configmap/two labeled
configmap/one labeled
configmap "two" deleted from watching namespace
ADDED  one  1  [age]
MODIFIED  one  2  [age]
ADDED  two  1  [age]
DELETED  one  2  [age]
DELETED  two  1  [age]

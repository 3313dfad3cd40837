# First process of a node that runs the real kubelet: `node.sh FOLDER ADDRESS NAME`.
#
# It runs in process and mount namespaces of its own, inside the ground. When
# it ends the kernel ends everything else in them, and the mounts are gone.
set -euo pipefail -o noglob
folder=$1 address=$2 name=$3
socket=/run/containerd/containerd.sock

# Copies of what other programs mounted would keep it alive as long as we live.
mapfile -t mounts </proc/self/mountinfo
for line in "${mounts[@]}"; do
    case "${line##* - }" in
    nsfs\ * | overlay\ *)
        fields=($line)
        point=$(printf '%b' "${fields[4]}")
        # One below another is gone with it.
        if [ "$point" != / ]; then umount --lazy "$point" || true; fi
        ;;
    esac
done

# Some paths of kubelet and runc are fixed.
for path in run var/lib var/log; do
    mkdir -p "$folder/root/$path"
    mount --bind "$folder/root/$path" "/$path"
done
# Kubelet wants these values of the whole machine, or sets them; it may read them here.
for setting in "vm/overcommit_memory 1" "kernel/panic 10" "kernel/panic_on_oops 1"; do
    file="$folder/settings/${setting%% *}"
    mkdir -p "${file%/*}"
    echo "${setting##* }" >"$file"
    mount --bind "$file" "/proc/sys/${setting%% *}"
done
# An address that no interface carries is none to kubelet.
ip address replace "$address/32" dev lo
ip link set lo up

containerd --config "$folder/containerd.toml" >"$folder/containerd.log" 2>&1 &
containerd=$!
until ctr --address "$socket" version >/dev/null 2>&1; do
    if ! kill -0 "$containerd" 2>/dev/null; then
        echo "containerd ended; its log ends:"
        tail "$folder/containerd.log"
        exit 1
    fi
    sleep 0.1
done
ctr --address "$socket" --namespace k8s.io images import "$folder/pause.tar"

"$folder/kubelet" --config="$folder/kubelet.json" --kubeconfig="$folder/kubeconfig" \
    --hostname-override="$name" --node-ip="$address" --root-dir=/var/lib/kubelet &
# Whichever ends first, the node is no more.
wait -n || true
echo "kubelet or containerd ended; the log of containerd ends:"
tail "$folder/containerd.log"
exit 1

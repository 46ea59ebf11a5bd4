# Makes a bare machine of namespaces, and runs a script of the manual on it. In the machine's network namespace:
#   sh room.sh DIR GROUP machine|cluster RESOLVER
# DIR holds `script`, `skiff`, `usb/`, `public-ca.pem` and `lan-ca.pem`. GROUP is the machine's control group.
set -eu
dir=$1 group=$2 place=$3 resolver=$4

# In the group first, which the machine then takes for the root of all groups (cgroup_namespaces(7)).
if [ "${5:-}" != inside ]; then
    hierarchies=/sys/fs/cgroup
    [ -e /sys/fs/cgroup/cgroup.controllers ] || hierarchies=$(echo /sys/fs/cgroup/*)
    for hierarchy in $hierarchies; do
        [ -e "$hierarchy/cgroup.procs" ] || continue
        mkdir -p "$hierarchy/$group"
        for file in cpuset.cpus cpuset.mems; do
            if [ -e "$hierarchy/$file" ] && [ ! -e "$hierarchy/cgroup.controllers" ]; then
                cat "$hierarchy/$file" >"$hierarchy/$group/$file"
            fi
        done
        if [ -e "$hierarchy/cgroup.controllers" ]; then
            for controller in $(cat "$hierarchy/cgroup.controllers"); do
                echo "+$controller" >"$hierarchy/cgroup.subtree_control" 2>/dev/null || true
            done
        fi
        echo $$ >"$hierarchy/$group/cgroup.procs"
    done
    exec unshare --mount --pid --fork --kill-child=KILL --cgroup --uts --ipc sh "$0" "$@" inside
fi

mount --make-rprivate /
mount -t proc proc /proc
hostname machine

# The groups as the machine sees them.
if [ -e /sys/fs/cgroup/cgroup.controllers ]; then
    mount -t cgroup2 cgroup2 /sys/fs/cgroup
    unified=/sys/fs/cgroup
else
    hierarchies=$(awk '$2 ~ "^/sys/fs/cgroup/" && ($3 == "cgroup" || $3 == "cgroup2") { print $3, $2, $4 }' /proc/mounts)
    mount -t tmpfs -o mode=755 cgroup /sys/fs/cgroup
    echo "$hierarchies" | while read -r type at options; do
        mkdir -p "$at"
        # Of the options the hierarchy's own: its controllers, or its name.
        own=$(echo "$options" | tr , '\n' | grep -vxE 'rw|ro|nosuid|nodev|noexec|relatime|nsdelegate|memory_recursiveprot|xattr|clone_children|seclabel' | paste -sd,)
        [ -n "$own" ] || own=rw
        mount -t "$type" -o "$own" "$type" "$at"
    done
    unified=/sys/fs/cgroup/unified
fi
# On v2 a group with processes hands no controllers down.
if [ -e $unified/cgroup.procs ]; then
    mkdir -p $unified/init
    echo 1 >$unified/init/cgroup.procs
fi

# A disk of its own, as large as it needs however full this machine's is.
disk=$dir/disk
mkdir -p "$disk"
mount -t tmpfs -o size=6G,mode=755 disk "$disk"
mkdir -p "$disk/var-lib" "$disk/var-log" "$disk/root" "$disk/bin" "$disk/tmp" "$disk/media/usb" "$disk/here"
chmod 1777 "$disk/tmp"
chmod 700 "$disk/root"
cp -a /etc "$disk/etc"
rm -rf "$disk/etc/skiff"
mount --bind /usr/local/bin "$disk/here"
mount --bind "$dir/usb" "$disk/media/usb"
cat "$dir/public-ca.pem" >>"$disk/etc/ssl/certs/ca-certificates.crt"
cp "$dir/lan-ca.pem" "$disk/root/registry-ca.pem"
rm -f "$disk/etc/resolv.conf"
echo "nameserver $resolver" >"$disk/etc/resolv.conf"
printf '127.0.0.1 localhost\n127.0.1.1 machine\n' >"$disk/etc/hosts"
cp "$dir/skiff" "$disk/bin/skiff"
mkdir -p "$disk/run/lock"
mount --bind "$disk/etc" /etc
mount --bind "$disk/var-lib" /var/lib
mount --bind "$disk/var-log" /var/log
mount --bind "$disk/bin" /usr/local/bin
mount --rbind "$disk/media" /media
mount --bind "$disk/root" /root
mount --bind "$disk/run" /run
script=$disk/script
cp "$dir/script" "$script"

export HOME=/root USER=root LANG=C.UTF-8
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:$disk/here
unset KUBECONFIG SKIFF_DATA_DIR SKIFF_SERVER SKIFF_TOKEN XDG_RUNTIME_DIR SKIFF_CLUSTERS_DIR
mount --bind "$disk/tmp" /tmp
cd /root

if [ "$place" = cluster ]; then
    export KUBECONFIG=/var/lib/skiff/admin.kubeconfig
    skiff up >/var/log/skiff.log 2>&1 &
    n=0
    until [ "$(skiff get node machine -o 'jsonpath={.status.conditions[?(@.type=="Ready")].status}' 2>/dev/null)" = True ] &&
        skiff get serviceaccount default >/dev/null 2>&1; do
        n=$((n + 1))
        if [ $n -ge 600 ]; then
            echo "the cluster did not become Ready:"
            tail -n 100 /var/log/skiff.log
            exit 1
        fi
        sleep 0.2
    done
fi

# Process 1 stays this shell: it takes in the orphans of those that end.
code=0
bash "$script" </dev/null || code=$?
if [ $code != 0 ]; then
    echo "--- /var/log/skiff.log"
    tail -n 60 /var/log/skiff.log 2>/dev/null || true
    skiff get pods,events -A 2>/dev/null || true
fi
exit $code

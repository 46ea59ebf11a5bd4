# Makes the directory $0: a Debian 12 for emulated machines, with its kernel. A machine of it does
# one of two things with the files on its second disk, and is told so by its kernel's command line:
# it runs `script` and switches itself off, or (`shell`) it runs what comes in over a serial line.
set -eu
out=$0; work=$(mktemp -d -p /var/tmp); trap 'rm -rf "$work"' EXIT; cd "$work"
mmdebstrap --quiet --variant=minbase \
    --include=busybox-static,crun,dbus,iproute2,kmod,linux-image-cloud-amd64,nftables,procps,runc,systemd-sysv,udev,util-linux \
    bookworm root.tar
mkdir root
tar -C root -xf root.tar --exclude='./usr/share/doc/*' --exclude='./usr/share/man/*' --exclude='./usr/share/locale/*' \
    --exclude='./var/cache/apt/*' --exclude='./var/lib/apt/lists/*'
rm root.tar
mkdir "$out"
cp root/boot/vmlinuz-* "$out/vmlinuz"; cp root/boot/initrd.img-* "$out/initrd"; rm root/boot/*
units=root/etc/systemd/system
mkdir -p $units/multi-user.target.wants root/work

cat >$units/work.service <<X
[Unit]
After=multi-user.target
ConditionKernelCommandLine=!shell
[Service]
Type=oneshot
ExecStart=/bin/sh -c 'mount -t tmpfs tmpfs /work; cd /work; tar -xf /dev/vdb; \
    sh ./script >/dev/ttyS1 2>&1; echo "ended with \$?" >/dev/ttyS1; poweroff -f'
[Install]
WantedBy=multi-user.target
X

cat >$units/shell.service <<X
[Unit]
ConditionKernelCommandLine=shell
[Service]
ExecStart=/bin/sh /usr/local/sbin/shell
KillMode=process
OOMScoreAdjust=-900
X
cat >root/usr/local/sbin/shell <<'X'
# Each line from the driver is "ID SCRIPT", each answer "ID STATUS OUTPUT"; scripts and outputs are base64.
export HOME=/root PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
mountpoint -q /work || mount -o ro /dev/vdb /work
cd /work
exec 3<>/dev/ttyS1
stty -F /dev/ttyS1 raw -echo
echo ready >&3
while read -r id text <&3; do
    printf %s "$text" | base64 -d >/dev/shm/script
    sh /dev/shm/script >/dev/shm/output 2>&1 </dev/null 3>&-
    echo "$id $? $(base64 -w0 </dev/shm/output)" >&3
done
X

# address=A.B.C.D on the kernel's command line is the address of the one network card.
cat >$units/address.service <<X
[Unit]
ConditionKernelCommandLine=address
DefaultDependencies=no
BindsTo=sys-subsystem-net-devices-eth0.device
After=sys-subsystem-net-devices-eth0.device
Before=network.target network-online.target
[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/bin/sh /usr/local/sbin/address
X
cat >root/usr/local/sbin/address <<'X'
export PATH=/usr/sbin:/usr/bin
for word in $(cat /proc/cmdline); do
    case $word in address=*) ip addr add "${word#address=}/24" dev eth0 ;; esac
done
ip link set eth0 up
ip route add default via 198.18.0.254
X
for unit in work shell address; do
    ln -s ../$unit.service $units/multi-user.target.wants/
done
for unit in apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer e2scrub_reap.service fstrim.timer getty@.service; do
    ln -sf /dev/null $units/$unit
done
echo machine >root/etc/hostname
truncate -s 2G "$out/disk"
mkfs.ext4 -q -F -O ^has_journal -d root "$out/disk"

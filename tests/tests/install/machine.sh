# Run on a Debian machine of its own: skiff as a service, installed, restarted,
# killed, upgraded and removed. `skiff.deb`, `skiff`, `busybox.tar` and `snapshot.sh` are beside it.
set -eu
. ./snapshot.sh
export HOME=/root PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
unit=skiff-up.service

step() { echo "--- $(cut -d' ' -f1 /proc/uptime) $*"; }

# until_true COMMAND...: it must come true within two minutes, also on a busy host.
until_true() {
    n=0
    until "$@" >/dev/null 2>&1; do
        n=$((n + 1))
        if [ $n -ge 480 ]; then
            echo "waited in vain: $*"
            "$@" || true
            journalctl --no-pager -n 60 -u 'skiff-*' || true
            exit 1
        fi
        sleep 0.25
    done
}

fail() {
    echo "FAILED: $*"
    journalctl --no-pager -n 60 -u 'skiff-*' || true
    exit 1
}

compare() {
    snapshot >"$2"
    diff "$1" "$2" || fail "this is left of skiff, or gone with it ($2)"
}

pod_is_running() { [ "$(skiff get pod web -o jsonpath='{.status.phase}')" = Running ]; }
node_is_ready() {
    skiff get nodes vm -o 'jsonpath={.status.conditions[?(@.type=="Ready")].status}' | grep -qx True
}
# The container: its id, its restarts, and when its process began.
container() {
    pid=$(pgrep -x -f 'sleep 31415') || return 1
    skiff get pod web -o jsonpath='{.status.containerStatuses[0].containerID} {.status.containerStatuses[0].restartCount}'
    echo " $pid $(cut -d' ' -f22 /proc/"$pid"/stat)"
}
start_pod() {
    skiff image import busybox.tar
    # The namespace's service account is made by a controller, soon after the start.
    until_true skiff get serviceaccount default
    skiff run web --image=docker.io/library/busybox:1 --command -- sleep 31415
    until_true pod_is_running
    first=$(container)
    echo "container: $first"
}
same_container() {
    now=$(container) || fail "after $1 the container is gone"
    [ "$now" = "$first" ] || fail "after $1 the container is another: $now, not $first"
}
main_pid() { systemctl show -p MainPID --value $unit; }
# Another process than $before, which says that it is ready.
is_started_anew() {
    [ "$(main_pid)" != "$before" ] && [ "$(main_pid)" != 0 ] && [ "$(systemctl is-active $unit)" = active ]
}

# dpkg shows its progress where it can; only what fails is of interest.
package() {
    dpkg "$@" >dpkg.log 2>&1 || { cat dpkg.log; fail "dpkg $*"; }
    hash -r
}

ip link add eth0 type dummy
ip addr add 10.9.8.7/24 dev eth0
ip link set eth0 up
ip route add default via 10.9.8.1
modprobe -a overlay bridge veth vxlan nf_tables nft_masq nft_chain_nat nft_compat 2>/dev/null || true
snapshot >before

step "the package is installed, and starts nothing"
package -i skiff.deb
! systemctl --quiet is-active $unit || fail "the package started $unit"
test -s /usr/share/man/man1/skiff-install-up.1.gz
test -s /usr/share/bash-completion/completions/skiff

step "a mistake in the settings is told, and nothing is made"
if skiff install up --secure-port seven; then fail "a wrong port was taken"; fi
test ! -e /etc/skiff

step "skiff install up returns when the node is Ready"
# A watchdog that the test can wait for.
mkdir -p /run/systemd/system/$unit.d
printf '[Service]\nWatchdogSec=20\n' >/run/systemd/system/$unit.d/short.conf
skiff install up --node-name vm --eviction-hard '' --image-gc-high-threshold 100 --log-level info | tee said
grep -q "$unit: node vm is Ready" said
node_is_ready || fail "systemd counts $unit as started, but its node is not Ready"
[ "$(stat -c %a /etc/skiff/config.yaml)" = 600 ]
systemctl --quiet is-enabled $unit
start_pod
snapshot >running
if diff before running >/dev/null; then fail "a snapshot shows nothing of a running cluster"; fi

step "installing again without a change starts nothing again"
before=$(main_pid)
skiff install up --node-name vm
[ "$(main_pid)" = "$before" ]

step "installing again with another flag starts it again"
skiff install up --max-pods 50
[ "$(main_pid)" != "$before" ]
[ "$(skiff get node vm -o jsonpath='{.status.capacity.pods}')" = 50 ] || until_true sh -c \
    '[ "$(skiff get node vm -o jsonpath={.status.capacity.pods})" = 50 ]'
grep -q '^node-name: vm$' /etc/skiff/config.yaml
same_container "a change of settings"

step "systemctl restart leaves the container alone"
before=$(main_pid)
systemctl restart $unit
is_started_anew || fail "no restart"
until_true node_is_ready
same_container "a restart"

step "kill -9 leaves the container alone, and systemd starts skiff again"
before=$(main_pid)
kill -9 "$before"
until_true is_started_anew
until_true node_is_ready
same_container "kill -9"

step "a skiff that does nothing any more is killed by the watchdog"
before=$(main_pid)
kill -STOP "$before"
until_true is_started_anew
journalctl --no-pager -u $unit | grep -qi 'watchdog timeout' || fail "it was not the watchdog"
same_container "the watchdog"

step "an upgrade of the package leaves the container alone"
before=$(main_pid)
package -i skiff.deb
until_true is_started_anew
until_true node_is_ready
same_container "an upgrade"

step "warnings and errors have their levels in the journal"
journalctl --no-pager -u $unit -o cat | grep -q '^<[3467]>' && fail "a level was not understood"
journalctl --no-pager -u $unit -p info | grep -q 'the Kubernetes API answers'

step "what is logged as an error"
journalctl --no-pager -u $unit -p err | tail -20

step "a purge of the package leaves a clean machine, running pods or not"
package -P skiff
rm -r /run/systemd/system/$unit.d
systemctl daemon-reload
compare before after-purge

step "without a package: the binary, a server in its sandbox"
./skiff install server --advertise-address 10.9.8.7 | tee said
grep -q 'skiff-server.service: the Kubernetes API answers on https://0.0.0.0:6443' said
hash -r
[ "$(command -v skiff)" = /usr/local/bin/skiff ]
skiff get namespaces | grep -q kube-system
kill -9 "$(systemctl show -p MainPID --value skiff-server.service)"
until_true skiff get namespace default
if skiff install agent --server https://10.9.8.7:6443; then fail "a machine was installed twice"; fi

step "uninstall leaves a clean machine"
skiff uninstall --yes
hash -r
compare before after-server

step "uninstall stops and removes pods too"
./skiff install up --node-name vm --eviction-hard '' --image-gc-high-threshold 100
start_pod
skiff uninstall --yes
compare before after-up
step "done"

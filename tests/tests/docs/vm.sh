# On a Debian machine of its own: `page N WHAT` runs the script pageN of the manual, then removes skiff again.
set -u
export HOME=/root LANG=C.UTF-8 PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
failed=0
ip link add eth0 type dummy
ip addr add 10.0.0.1/24 dev eth0
ip link set eth0 up
ip route add default via 10.0.0.254
modprobe -a overlay bridge veth vxlan nf_tables nft_masq nft_chain_nat nft_compat 2>/dev/null

page() {
    [ $failed = 0 ] || return 0
    echo "--- $(cut -d' ' -f1 /proc/uptime) $2"
    mkdir "/work/in$1"
    cd "/work/in$1"
    ln -s ../skiff ../skiff_*.deb ../busybox.tar .
    ln -s ../skiff skiff-new
    bash "../page$1" </dev/null || {
        failed=$?
        echo "$2 ended with $failed"
        journalctl --no-pager -n 100 -u 'skiff-*'
        return 0
    }
    if [ -e /usr/local/bin/skiff ]; then skiff uninstall --yes || failed=1; fi
    if dpkg-query -W skiff >/dev/null 2>&1; then dpkg -P skiff || failed=1; fi
    hash -r
    cd /work
    rm -rf "/work/in$1"
}


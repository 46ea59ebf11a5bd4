# All that skiff could leave behind; what systemd and dpkg keep for themselves is theirs.
snapshot() {
    echo "# mounts"; cut -d' ' -f1-3 /proc/self/mounts | sort
    echo "# links"; ip -o link | sed 's/^[0-9]*: //; s/ qdisc.*//' | sort
    echo "# addresses"; ip -o addr | sed 's/^[0-9]*: //; s/valid_lft.*//' | sort
    echo "# routes"; ip route show table all | sort; ip rule
    echo "# nft"; nft list ruleset
    echo "# files"
    find / /run -xdev \( -path /proc -o -path /sys -o -path /work -o -path /run/systemd -o -path /run/udev \
        -o -path /run/credentials -o -path /var/log/journal -o -path /run/log -o -path /var/lib/dpkg -o -path /var/lib/systemd \
        -o -path /var/log/dpkg.log -o -path /var/cache -o -path /tmp -o -path /var/tmp -o -name '.pwd.lock' \) -prune -o -print | sort -u
    echo "# cgroups"
    find /sys/fs/cgroup -type d | grep -v -e '/system.slice/' -e '/init.scope' | sort
    find /sys/fs/cgroup/system.slice -type d -name '*skiff*'
    echo "# units"; systemctl list-unit-files --no-legend --no-pager | grep skiff || true
}

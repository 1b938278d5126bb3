#!/bin/sh
# Run a command where podman can run containers without systemd, and where this host knows the containers' names:
#   tests/images/enter.sh pytest tests/images
# As root, on Debian: podman needs network and mount namespaces of its own here, with /sys for its cgroups.
set -eu
for program in podman buildah crun debootstrap netavark aardvark-dns; do
    command -v "$program" >/dev/null || [ -x "/usr/lib/podman/$program" ] || {
        echo "expected $program: apt-get install podman buildah crun debootstrap netavark aardvark-dns iptables" >&2
        exit 69 # EX_UNAVAILABLE of sysexits.h
    }
done
exec unshare --mount --net sh -euc '
    mount -t sysfs none /sys
    mount -t cgroup2 none /sys/fs/cgroup
    # Nothing that podman remembers of namespaces of an earlier run, its DNS server among them.
    mount -t tmpfs none /run
    { cat /etc/hosts && echo "127.0.0.1 namenode datanode-1 datanode-2"; } >/run/hosts
    mount --bind /run/hosts /etc/hosts
    ip link set lo up
    exec "$@"' -- "$@"

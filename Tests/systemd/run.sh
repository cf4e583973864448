#!/bin/sh
# Runs inside the booted container as t.service; scripts/test-systemd makes everything around it.
. /run/t/checks.sh
admin=/run/banana/admin.sock

restarted() { [ "$(property bananad.service NRestarts)" -gt "$1" ]; }
dynamic() { [ "$(stat -c %u "/proc/$1")" -ge 61184 ]; }
alone() { [ "$(readlink "/proc/$1/ns/net")" != "$(readlink /proc/1/ns/net)" ]; }
confined() { grep -q '^CapEff:.0*$' "/proc/$1/status" && grep -q '^Seccomp:.2$' "/proc/$1/status"; }

limited() { grep -q '^Max core file size *0 ' "/proc/$1/limits" &&
  [ "$(property bananad.service MemoryMax)" != infinity ] &&
  [ "$(property bananad.service TasksMax)" = 1024 ]; }
says() { curl --silent --unix-socket $socket http://localhost/v1/status | grep -q "$1"; }

check "sockets are there after boot" systemctl is-active bananad.socket bananad-admin.socket
check "daemon is not started before the first request" \
  is "$(property bananad.service ActiveState)" inactive
check "apps' socket is 0660 root:banana" is "$(stat -c '%a %U:%G' $socket)" "660 root:banana"
check "admins' socket is 0600 root:root" is "$(stat -c '%a %U:%G' $admin)" "600 root:root"
inode=$(stat -c %i $socket)

check "first request starts the daemon and is answered" asks $socket
check "daemon is active" is "$(property bananad.service ActiveState)" active
check "daemon says what it does" [ -n "$(property bananad.service StatusText)" ]
check "admins' socket is served by the same daemon" asks $admin
pid=$(property bananad.service MainPID)
check "runs as a dynamic user" dynamic "$pid"
check "has no network" alone "$pid"
check "has no capabilities and a system call filter" confined "$pid"
check "has no core, and limits of memory and tasks" limited "$pid"
check "sees no D-Bus" fails test -S "/proc/$pid/root/run/dbus/system_bus_socket"
check "sees no devices" fails test -e "/proc/$pid/root/dev/kmsg"
check "has no memory that is written and run" fails grep -q ' rwx' "/proc/$pid/maps"
check "state directory is there" test -d /var/lib/private/banana
check "no daemon failed under the filter" is "$(property bananad.service NRestarts)" 0

check "reload keeps the process" systemctl reload bananad.service
check "and it answers" asks $socket
mkdir -p /etc/banana
echo '{"queue_capacity": 7}' >/etc/banana/bananad.json
check "reload reads /etc/banana" systemctl reload bananad.service
check "and takes it on" until_true 5 says '"queue_capacity":7'
check "as the same process" is "$(property bananad.service MainPID)" "$pid"

# Longer than the watchdog's time: a daemon that idles is alive.
sleep 8
check "idle daemon is left alone" is "$(property bananad.service MainPID)" "$pid"
kill -STOP "$pid"
check "watchdog kills a daemon that hangs" until_true 40 restarted 0
check "systemd knows why" sh -c 'journalctl -u bananad.service | grep -qi watchdog'
check "request after the recovery is answered" asks $socket
check "socket was kept over the watchdog's kill" is "$(stat -c %i $socket)" "$inode"
pid=$(property bananad.service MainPID)
kill -KILL "$pid"
check "request right after SIGKILL is answered" asks $socket
check "by another process" fails is "$(property bananad.service MainPID)" "$pid"
check "socket was kept over SIGKILL" is "$(stat -c %i $socket)" "$inode"
check "stops cleanly within its time" quick 20 systemctl stop bananad.service
check "result of the stop" is "$(property bananad.service Result)" success
check "socket outlives the daemon" is "$(stat -c %i $socket)" "$inode"
check "next request starts it again" asks $socket

# The port for clients that speak TCP only.
tcp=http://127.0.0.1:22626
# Local address, port, peer and the state of listening, as the kernel writes them.
listening() { grep -hosE '[0-9A-F]+:5862 0+:0000 0A' /proc/net/tcp /proc/net/tcp6; }
draws() { # URL [ARGUMENT...]
  url=$1
  shift
  curl --silent --show-error --fail-with-body --max-time 60 "$@" "$url/v1/images/generations" \
    -H 'Content-Type: application/json' \
    -d '{"prompt": "a red apple", "size": "256x256", "steps": 1}'
}
jobs() { curl --silent --max-time 20 --unix-socket $admin http://localhost/v1/jobs; }
keeps() { curl --silent --max-time 20 "$1/v1/images/generations" \
  -H 'Content-Type: application/json' -d '{"prompt": "a red apple", "store": true}'; }
check "no TCP port is open unless somebody opens it" fails listening
systemctl start bananad-tcp.socket
check "port listens on this machine only" \
  is "$(listening)" "0100007F:5862 00000000:0000 0A"
check "picture through the port" draws $tcp
proxy=$(property bananad-tcp.service MainPID)
check "proxy is a dynamic user" dynamic "$proxy"
# In a refusal where the user database knows the proxy's user, else in the list of jobs.
uids() { { keeps $tcp; jobs; } | grep -oE '(your uid |"uid":)[0-9]+' | grep -oE '[0-9]+' | sort -u; }
check "that is the user of what comes by the port" is "$(uids)" "$(stat -c %u "/proc/$proxy")"
check "proxy has no network of its own" alone "$proxy"
check "proxy has no capabilities and a system call filter" confined "$proxy"
check "public client draws through the port" \
  env HOME=/run /run/venv/bin/python /run/t/tcp_client.py $tcp/v1
check "port serves when the daemon was restarted" \
  sh -c 'systemctl restart bananad.service && curl --silent --fail --max-time 20 '$tcp/readyz
check "port closes" systemctl stop bananad-tcp.socket bananad-tcp.service
check "and nobody listens" fails listening

mkdir -p /run/systemd/system/bananad.service.d
printf '[Service]\nExecStart=\nExecStart=/bin/false\n' \
  >/run/systemd/system/bananad.service.d/90-broken.conf
systemctl daemon-reload
systemctl stop bananad.service
systemctl reset-failed bananad.service
asks $socket 3 >/dev/null 2>&1
check "no crash loop: a daemon that cannot live is given up" \
  until_true 40 sh -c '[ "$(systemctl show -P ActiveState bananad.service)" = failed ]'
sleep 3
# Five, and one that may have been under way when the counter was reset.
check "after a few tries" sh -c \
  '[ "$(journalctl -u bananad.service | grep -c "status=1/FAILURE")" -le 6 ]'
rm /run/systemd/system/bananad.service.d/90-broken.conf
systemctl daemon-reload
systemctl reset-failed bananad.service bananad.socket
systemctl start bananad.socket
check "and comes back when it is mended" asks $socket

finish

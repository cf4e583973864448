#!/bin/sh
# Runs inside the booted container as t.service; scripts/test-deb makes everything around it.
. /run/t/checks.sh
state=/var/lib/private/banana
weights=/usr/share/banana/models/sticker

as() { # USER COMMAND...: with the groups and the environment of a login
  user=$1
  shift
  runuser -u "$user" -- env --chdir="/home/$user" -i HOME="/home/$user" PATH=/usr/bin:/bin "$@"
}
is_next() { dpkg-query -W -f '${Version}' banana | grep next1; }
is_png() { # FILE: a first and a last chunk
  [ "$(head -c 8 "$1" | od -An -tx1 | tr -d ' \n')" = 89504e470d0a1a0a ] &&
    tail -c 8 "$1" | head -c 4 | grep -q IEND
}
draws() { as alice banana generate "a red apple" -o "$1" && is_png "/home/alice/$1"; }
says() { # PATTERN COMMAND...: COMMAND fails, and what it says has the pattern
  pattern=$1
  shift
  "$@" >"$out/said" 2>&1 && { echo "succeeded: $*"; return 1; }
  grep -q "$pattern" "$out/said" || { cat "$out/said"; return 1; }
}
# Heat is what a container cannot show.
content() { as alice banana doctor >"$out/said" && ! grep -v ' heat ' "$out/said" | grep '^[fw]'; }
lists() { as "$1" banana peel list | grep -q "^$2 .*private"; }
owner_of() { dpkg-query -S "$1" | grep -q '^banana:'; }
completes() { bash -c ". /usr/share/bash-completion/completions/$1 && complete -p $1"; }
is_drawing() { as alice banana status --json | grep -q '"running_jobs" *: *[1-9]'; }
stopped_before_the_end() { journalctl -u bananad.service -o cat | awk '
  / stopping$/ { stopping = NR } /pictures=4 / { done = NR } END { exit !(stopping < done) }'; }
port_answers() { curl --silent --fail --max-time 20 http://127.0.0.1:22626/v1/models; }
is_gone() { ! pgrep -x bananad; }

# The machine may have pictures of bananas of its own.
named() {
  find /etc /usr /var /run -xdev -iname '*banana*' -not -path '/run/*/transient/*' \
    -not -path '/var/lib/systemd/deb-*' | sort
}
named_as_before() { named | diff "$out/before" -; }

# Installation.
named >"$out/before"
check "package installs" dpkg -i /run/t/first.deb
check "group is there" getent group banana
check "sockets listen" systemctl is-active bananad.socket bananad-admin.socket
check "and will after the next boot" systemctl is-enabled bananad.socket bananad-admin.socket
check "no TCP port listens" fails systemctl is-active bananad-tcp.socket
check "nor will after the next boot" fails systemctl is-enabled bananad-tcp.socket
check "it is opened when somebody wants it" systemctl enable --now bananad-tcp.socket
useradd -m -G banana alice
useradd -m -G banana carol
useradd -m bob
check "member of the group draws a picture" draws apple.png
check "daemon runs" systemctl is-active bananad.service
check "user outside is refused, and told what to do" \
  says 'usermod -aG banana bob' as bob banana generate "a red apple"
check "doctor has nothing to complain about" content
check "doctor tells the user outside what to do" \
  says 'usermod -aG banana bob' as bob banana doctor
for page in banana.1 bananad.8 banana-bench.1; do
  check "manual page $page" man -w "${page##*.}" "${page%.*}"
done
for program in banana bananad; do
  check "bash completes $program" completes "$program"
  check "zsh completes $program" owner_of "/usr/share/zsh/vendor-completions/_$program"
  check "fish completes $program" owner_of "/usr/share/fish/vendor_completions.d/$program.fish"
done

# Peels.
check "user installs a peel" \
  as alice banana peel install /usr/share/banana/peels/pixel-art.safetensors --name mine
check "and lists it" lists alice mine
check "another user does not see it" fails lists carol mine
check "daemon restarts" systemctl restart bananad.service
check "peel outlives the restart" lists alice mine
check "picture with the peel" as alice banana generate "a red apple" --peel mine -o peeled.png

# Faults.
systemctl stop bananad.socket bananad-admin.socket bananad.service
check "doctor finds a stopped service" \
  says 'systemctl enable --now bananad.socket' as alice banana doctor
check "so does generate" says 'systemctl' as alice banana generate "a red apple"
systemctl start bananad.socket bananad-admin.socket
file=$(find $weights -name '*.safetensors' | head -n 1)
printf damaged | dd of="$file" bs=1 seek=100000 conv=notrunc 2>/dev/null
check "doctor finds a damaged model" says "$(basename "$file")" as alice banana doctor
truncate -s -1 "$file"
systemctl stop bananad.service
check "doctor finds a model that was cut" says "$(basename "$file")" as alice banana doctor
check "package installs again" dpkg -i /run/t/first.deb
check "and doctor is content again" content

# Upgrade in the middle of a picture.
inode=$(stat -c %i $socket)
pid=$(property bananad.service MainPID)
# A slow machine, so that the daemon is told to stop before the job is done.
(
  while kill -STOP "$pid" 2>/dev/null; do
    sleep 0.4
    kill -CONT "$pid" 2>/dev/null
    sleep 0.1
  done
) &
(
  as alice banana generate "a red apple" --steps 50 --count 4 -o long.png >"$out/long" 2>&1
  echo $? >"$out/long.status"
) &
check "long job is being drawn" until_true 30 is_drawing
check "package is upgraded meanwhile" dpkg -i /run/t/next.deb
check "to the next version" is_next
wait
check "daemon was told to stop before the job was done" stopped_before_the_end
check "job was finished" is "$(cat "$out/long.status")" 0
for number in 1 2 3 4; do check "its picture $number" is_png "/home/alice/long-$number.png"; done
check "socket was kept" is "$(stat -c %i $socket)" "$inode"
check "next request is answered" draws next.png
check "TCP port was kept" systemctl is-enabled bananad-tcp.socket
check "and answers" port_answers
check "by the new daemon" fails is "$(property bananad.service MainPID)" "$pid"
check "peel outlives the upgrade" lists alice mine
check "doctor is content with it" content

# The end.
check "package is removed" dpkg -r banana
check "daemon is gone" until_true 5 is_gone
check "so are the sockets" test ! -e $socket
check "no unit is left" fails systemctl is-active bananad.socket bananad.service \
  bananad-tcp.socket bananad-tcp.service
check "what users installed stays" test -d "$state/peels"
check "package comes back" dpkg -i /run/t/first.deb
check "with the peels" lists alice mine
check "package is purged" dpkg -P banana
check "and what users installed is gone" test ! -e "$state" -a ! -e /var/lib/banana
check "nothing of it is left" named_as_before
check "nothing failed" is "$(systemctl --failed --no-legend --plain)" ""

finish

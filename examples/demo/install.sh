#!/bin/sh
# Installs what is missing of the named Debian packages, and says so:
#
#   install.sh nginx chromium              both are needed
#   install.sh nginx --optional redis-server   goes on without redis-server
#
# With root, or by sudo; without either it prints the line to run and exits with 1. Services that come
# with a package are not started, and services that run already are left alone.
set -eu

PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin

# The program by which one knows that a package is there, whoever installed it.
program() {
	case $1 in
	chromium) echo chromium chromium-browser google-chrome ;;
	redis-tools) echo redis-cli ;;
	nodejs) echo node ;;
	gcc | libc6-dev) echo gcc cc ;;
	systemd) echo systemd-analyze ;;
	*) echo "$1" ;;
	esac
}

present() {
	for name in $(program "$1"); do
		if command -v "$name" >/dev/null 2>&1; then
			return 0
		fi
	done
	# A package without a program of its name, like a module of nginx.
	[ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

needed= optional= now=needed
for package in "$@"; do
	case $package in
	--optional) now=optional ;;
	-* | *[!a-z0-9.+-]*)
		echo "install.sh: $package: want names of packages, like nginx" >&2
		exit 2
		;;
	*)
		if present "$package"; then
			continue
		elif [ $now = needed ]; then
			needed="$needed $package"
		else
			optional="$optional $package"
		fi
		;;
	esac
done
if [ -z "$needed$optional" ]; then
	exit 0
fi

# Without what is needed there is no way on; without the rest there is.
give_up() {
	echo "$1" >&2
	if [ -n "$needed" ]; then
		exit 1
	fi
	exit 0
}

if ! command -v apt-get >/dev/null 2>&1; then
	give_up "Missing:$needed$optional. There is no apt-get here; please install it in your system's way."
fi
line="apt-get update && apt-get install -y --no-install-recommends$needed$optional"
if [ "$(id -u)" -eq 0 ]; then
	sudo=
elif command -v sudo >/dev/null 2>&1 && { [ -t 0 ] || sudo -n true 2>/dev/null; }; then
	sudo=sudo
else
	give_up "Missing:$needed$optional. To install it, run as root: $line"
fi

# Debian starts a service as soon as it is installed, unless this file says no. One that exists stays.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
	trap '$sudo rm -f "$policy"' EXIT
	trap 'exit 130' INT
	trap 'exit 143' TERM
	printf '#!/bin/sh\nexit 101\n' | $sudo tee "$policy" >/dev/null
	$sudo chmod 755 "$policy"
fi

# install PACKAGE… ; RUNLEVEL=1 says the same to what does not ask the policy.
install() {
	echo "Installing: $*"
	$sudo env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 apt-get install -y -q --no-install-recommends "$@"
}

$sudo apt-get update -q || echo "apt-get update failed; trying with the lists that are here." >&2
# One name that apt-get does not know would keep it from installing the others.
case "$needed " in
*" chromium "*)
	case $(LC_ALL=C apt-cache policy chromium) in
	*"Candidate: "[!\(]*) ;;
	*) give_up "There is no package chromium here; Ubuntu has it as a snap. Run: snap install chromium (or install Google Chrome), and then this again." ;;
	esac
	;;
esac
if [ -n "$needed" ]; then
	# shellcheck disable=SC2086 # names without spaces, checked above
	install $needed || {
		echo "That did not work. By hand: $line" >&2
		exit 1
	}
fi
for package in $optional; do
	install "$package" || echo "$package cannot be installed; going on without it." >&2
done

#!/bin/sh
# apt_install.sh REASON PACKAGE...   Install Debian packages if this user may.
# Never fails: what cannot be installed is printed as SKIP, and the tests that need it skip too.
# Nothing is removed: pulseaudio would take the place of a desktop's pipewire-alsa.
reason=$1
shift

missing=
for package; do
    dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' ||
        missing="$missing $package"
done
[ -z "$missing" ] && exit 0

if ! command -v apt-get >/dev/null; then
    echo "SKIP: $reason: no apt-get here; install the like of$missing"
    exit 0
fi
if [ "$(id -u)" = 0 ]; then
    sudo=
elif sudo -n true 2>/dev/null; then
    sudo="sudo -n"
else
    echo "SKIP: $reason: not root, no passwordless sudo; run: sudo apt-get install$missing"
    exit 0
fi

# jackd2 asks whether to grant realtime priority. The tests run it without, so the answer is no.
quiet="$sudo env DEBIAN_FRONTEND=noninteractive"
echo "jackd2 jackd/tweak_rt_limits boolean false" | $quiet debconf-set-selections 2>/dev/null
install="$quiet apt-get install -qq -y --no-install-recommends --no-remove -o DPkg::Lock::Timeout=60$missing"
if $install >/dev/null 2>&1; then
    exit 0 # the package lists were fresh enough
fi
$quiet apt-get update -qq >/dev/null 2>&1
if ! $install >/dev/null; then
    echo "SKIP: $reason: apt-get install$missing failed"
fi
exit 0

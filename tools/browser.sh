#!/usr/bin/env bash
# The browser and the accessibility check of the tests of the listening page.
set -euo pipefail

usage() {
    cat <<'END'
Usage: browser.sh status|install [--dir DIR]

status    prints the lines that tell tests where Chromium, its driver and axe-core are; status 3 where one is missing
install   installs what is missing, as root on Debian or Ubuntu: chromium and chromium-driver by apt-get, axe-core by npm

    tools/browser.sh install
    .venv/bin/pytest tests/report/listening

  --dir DIR   where axe-core goes (default /tmp/contrasep-browser-USER)
END
}

program=$(basename "$0") axe_version=4.14.1
die() { echo "$program: $2" >&2; exit "$1"; }
action=${1:-}
[ $# -eq 0 ] || shift
user=$(id -un)
dir=/tmp/contrasep-browser-$user
while [ $# -gt 0 ]; do
    case $1 in
        --dir) dir=${2:?--dir needs a folder}; shift 2 ;;
        *) die 2 "unknown option '$1'; see $program --help" ;;
    esac
done
# programs of the user's run what is written there
[ ! -e "$dir" ] || [ -O "$dir" ] || die 2 "--dir $dir: belongs to somebody else; name another folder"
axe=$dir/node_modules/axe-core/axe.min.js

status() {
    local name
    for name in chromium chromedriver; do
        command -v "$name" >/dev/null || die 3 "$name is not installed; run tools/browser.sh install as root"
    done
    [ -f "$axe" ] || die 3 "axe-core is not installed; run tools/browser.sh install"
    local browser driver
    browser=$(command -v chromium)
    driver=$(command -v chromedriver)
    printf 'export CONTRASEP_CHROMIUM=%s CONTRASEP_CHROMEDRIVER=%s CONTRASEP_AXE=%s\n' "$browser" "$driver" "$axe"
}

install() {
    mkdir -p "$dir"
    if ! command -v chromium >/dev/null || ! command -v chromedriver >/dev/null; then
        [ "$EUID" -eq 0 ] && command -v apt-get >/dev/null ||
            die 3 "chromium and chromium-driver: not installed, and only root on Debian or Ubuntu can install them here"
        { timeout 300 apt-get update && DEBIAN_FRONTEND=noninteractive timeout 600 apt-get install -y --no-install-recommends \
            chromium chromium-driver; } >"$dir/install.log" 2>&1 || die 3 "chromium: cannot be installed; see $dir/install.log"
    fi
    if [ ! -f "$axe" ]; then
        command -v npm >/dev/null || die 3 "axe-core: npm is not installed; install it first"
        timeout 300 npm install --prefix "$dir" --no-save --ignore-scripts --no-audit --no-fund "axe-core@$axe_version" \
            >>"$dir/install.log" 2>&1 || die 3 "axe-core: cannot be installed; see $dir/install.log"
    fi
    status
}

case $action in
    status|install) $action ;;
    -h|--help) usage ;;
    *) die 2 "expected status or install, got '$action'; see $program --help" ;;
esac

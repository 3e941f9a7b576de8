#!/usr/bin/env bash
# Make the environment of the toolkit; instant when it is there already.
set -euo pipefail

usage() {
    cat <<'EOF'
Usage: tools/install.sh [options]
  --venv DIR         environment to make (default: .venv in the toolkit's folder, or $CONTRASEP_VENV)
  --python PROGRAM   Python 3.10 or newer with venv (default: python3)
  --torch-index URL  take PyTorch from this wheel index, e.g. PyTorch's own index of CPU builds
                     for machines without a GPU (about 4 GB less on disk)
  --force            install again even if nothing has changed
EOF
}

root=$(dirname "${BASH_SOURCE[0]}")
root=$(CDPATH='' cd -- "$root/.." && pwd)
venv=${CONTRASEP_VENV:-$root/.venv}
python=python3
torch_index=
force=false
uv_version=0.13.9
while [ $# -gt 0 ]; do
    case "${1//_/-}" in
        --venv) venv=${2:?--venv needs a folder}; shift 2 ;;
        --python) python=${2:?--python needs a program}; shift 2 ;;
        --torch-index) torch_index=${2:?--torch-index needs an address}; shift 2 ;;
        --force) force=true; shift ;;
        --help|-h) usage; exit 0 ;;
        *) echo "install.sh: unknown option '$1'; see tools/install.sh --help" >&2; exit 2 ;;
    esac
done

# What the environment depends on; the package itself is installed in place, so its code is not part of it.
sum=$(cat "$root"/setup.py "$root"/tools/{constraints,overrides}.txt | cksum)
expected="$root $uv_version $sum"
stamp=$venv/.contrasep
if ! $force && [ -f "$stamp" ]; then
    { read -r had; read -r had_index || true; } <"$stamp"
    # an environment made with --torch-index serves callers that do not name the index again
    if [ "$had" = "$expected" ] && { [ -z "$torch_index" ] || [ "$had_index" = "$torch_index" ]; }; then
        exit 0
    fi
fi

if ! "$python" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 10))' 2>/dev/null; then
    echo "install.sh: $python is missing, older than 3.10, or without venv; install it or name another: --python PROGRAM" >&2
    exit 1
fi
if command -v flock >/dev/null; then  # two recipes started at once must not install into each other
    mkdir -p "${venv%/*}"
    exec 9>"$venv.lock"
    flock 9
fi
echo "install.sh: installing into $venv (once; 2 to 10 minutes, about 6 GB)" >&2
[ -x "$venv/bin/python" ] || "$python" -m venv "$venv"
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check "uv==$uv_version"
uv() { VIRTUAL_ENV=$venv "$venv/bin/uv" "$@"; }
if [ -n "$torch_index" ]; then
    uv pip install --default-index "$torch_index" torch==2.11.0 torchaudio==2.11.0
fi
# bytecode now: jobs start side by side, and where Python may not write it each start would cost seconds
uv pip install --compile-bytecode --constraint "$root/tools/constraints.txt" --override "$root/tools/overrides.txt" \
    --editable "$root[all,test]"
# these have no wheels; their tests are skipped without them
if command -v cc >/dev/null; then
    VIRTUAL_ENV=$venv "$venv/bin/uv" pip install --compile-bytecode --constraint "$root/tools/constraints.txt" meeteval pesq ||
        echo "install.sh: meeteval and pesq could not be built; PESQ scores and their tests do without" >&2
fi
printf '%s\n%s\n' "$expected" "$torch_index" >"$stamp.tmp"
mv "$stamp.tmp" "$stamp"
version=$("$venv/bin/python" -c 'import platform; print("Python", platform.python_version())')
echo "install.sh: done; $version in $venv" >&2

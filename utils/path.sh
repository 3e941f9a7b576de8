# Sourced by every recipe's path.sh: the toolkit's environment, made on first use.
contrasep_root=$(CDPATH='' cd -- "${BASH_SOURCE[0]%/*}/.." && pwd)
"$contrasep_root/tools/install.sh" || exit 1
export PATH=${CONTRASEP_VENV:-$contrasep_root/.venv}/bin:$contrasep_root/utils:$PATH
# tables are sorted in C-locale order everywhere
export LC_ALL=C.UTF-8
export PYTHONUNBUFFERED=1
# stages run one job per core; threads inside them would only compete
export OMP_NUM_THREADS=1 MKL_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1

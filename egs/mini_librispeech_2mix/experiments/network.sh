#!/usr/bin/env bash
# What the modularity network needs: depth, width, starts, the number of its outputs, the collapse term.
set -euo pipefail
here=$(dirname "${BASH_SOURCE[0]}")
rows=("k-means={solver: kmeans}" "network={solver: network}" "starts 1={solver: {name: network, starts: 1}}")
for hidden in "[]" "[32]" "[256]" "[64, 64]" "[64, 64, 64]"; do rows+=("hidden $hidden={solver: {name: network, hidden: $hidden}}"); done
for outputs in 2 10; do rows+=("outputs $outputs={solver: network, k_max: $outputs}"); done
for weight in 0.1 1.0; do rows+=("collapse $weight={solver: {name: network, collapse_weight: $weight}}"); done
"$here/compare.sh" network mixtures --partitions "${rows[@]}" -- "$@"
